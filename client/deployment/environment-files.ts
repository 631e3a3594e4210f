import { createHash } from 'node:crypto'
import { lstat, readFile, realpath } from 'node:fs/promises'
import { join, posix, relative, sep } from 'node:path'
import { condaClosure } from '../../common/conda-files.ts'
import { isContainerImage } from '../../common/container-image.ts'
import { detect, FORMATS, formatOf } from '../../common/detect.ts'
import { EnvironmentFileError } from '../../common/environment-file-error.ts'
import { requirementsClosure } from '../../common/requirements-closure.ts'
import type { Checkout } from './checkout.ts'

/** An environment file that is in the working tree but not in the commit. */
export interface LooseFile {
  path: string
  digest: string
  content: Buffer
}

/**
 * The environment files of a request that an earlier step of the job made: those that the commit does not have. A file
 * that the commit has is taken from it, changed or not.
 * @throws {EnvironmentFileError} or {NotDetected} where what is named can't be used
 */
export async function looseFiles(checkout: Checkout, commit: string, interpreter: string): Promise<LooseFile[]> {
  if (isContainerImage(interpreter)) return []
  const loose = new Map<string, LooseFile>()
  const read = async (path: string) => {
    const committed = await checkout.read(commit, path)
    if (committed !== undefined) return committed
    const content = await workingFile(checkout.folder, path)
    if (content !== undefined) loose.set(path, { path, content, digest: digestOf(content) })
    return content
  }
  const file = interpreter === 'auto' ? await detected(checkout, commit) : formatOf(interpreter)
  if (file.format === 'requirements.txt') await requirementsClosure(read, file.path)
  else if (file.format === 'conda-environment') await condaClosure(read, file.path)
  else await read(file.path)
  // These locks are read with the project that they were made from.
  if (file.format === 'uv.lock' || file.format === 'poetry.lock') {
    await read(posix.join(posix.dirname(file.path), 'pyproject.toml'))
  }
  return [...loose.values()]
}

async function detected(checkout: Checkout, commit: string) {
  const names = await checkout.rootOf(commit)
  for (const { detected } of FORMATS) {
    if (await isThere(join(checkout.folder, detected))) names.push(detected)
  }
  return detect(names)
}

/**
 * A file of the working tree; undefined where there is none. What a commit says must not lead to other files of this
 * machine: not by its links, and not to git's own, which may hold credentials.
 * @throws {EnvironmentFileError} where it is no regular file, or not where its path says
 */
async function workingFile(folder: string, path: string): Promise<Buffer | undefined> {
  const at = join(folder, path)
  if (!(await isThere(at))) return undefined
  const fail = (why: string) =>
    new EnvironmentFileError(
      path,
      undefined,
      `is not in the commit, and ${why}`,
      'Commit it, or let an earlier step write it as a regular file of the checkout, and name it without links.',
    )
  const real = await realpath(at).catch(() => undefined)
  const inside = relative(await realpath(folder), real ?? at)
  if (real === undefined || inside !== relative(folder, at)) throw fail('it is a link, or lies behind one')
  const parts = inside.split(sep)
  if (parts[0] === '..') throw fail('it is not in the checkout')
  if (parts.some((part) => part.toLowerCase() === '.git')) throw fail("it is one of git's own files")
  if (!(await lstat(at)).isFile()) throw fail('it is not a regular file')
  return await readFile(at)
}

const NOT_THERE = ['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG']

async function isThere(file: string): Promise<boolean> {
  try {
    await lstat(file)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && NOT_THERE.includes(String(error.code))) return false
    throw error
  }
}

function digestOf(content: Buffer): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`
}
