import { createHash } from 'node:crypto'
import { join, posix } from 'node:path'
import { CONDA_PLATFORMS, condaClosure, onPlatform } from '../../common/conda-files.ts'
import { isContainerImage } from '../../common/container-image.ts'
import { DETECTED, detect, type EnvironmentFile, formatOf, formatsOn, NotDetected } from '../../common/detect.ts'
import { requirementsClosure } from '../../common/requirements-closure.ts'
import type { Checkout } from './checkout.ts'
import { isThere, plainFile } from './plain-file.ts'

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
    const content = await plainFile(checkout.folder, path)
    if (content !== undefined) loose.set(path, { path, content, digest: digestOf(content) })
    return content
  }
  const files = interpreter === 'auto' ? await detected(checkout, commit) : [formatOf(interpreter)]
  for (const file of files) await closure(read, file)
  return [...loose.values()]
}

type Read = (path: string) => Promise<Uint8Array | undefined>

async function closure(read: Read, { path, format }: EnvironmentFile): Promise<void> {
  if (format === 'requirements.txt') await requirementsClosure(read, path)
  else if (format === 'conda-environment') await condaClosure(read, path)
  else
    for (const each of new Set([path, ...CONDA_PLATFORMS.map((platform) => onPlatform(path, platform))]))
      await read(each)
  // These locks are read with the project that they were made from.
  if (format === 'uv.lock' || format === 'poetry.lock') {
    await read(posix.join(posix.dirname(path), 'pyproject.toml'))
  }
}

/** What the service may find: on which platform it is, is not known here. */
async function detected(checkout: Checkout, commit: string): Promise<EnvironmentFile[]> {
  const names = await checkout.rootOf(commit)
  for (const each of DETECTED) if (await isThere(join(checkout.folder, each))) names.push(each)
  const found = CONDA_PLATFORMS.flatMap((platform): EnvironmentFile[] => {
    try {
      return [detect(names, formatsOn(platform))]
    } catch (error) {
      if (error instanceof NotDetected) return []
      throw error
    }
  })
  return found.length > 0 ? [...new Map(found.map((file) => [file.path, file])).values()] : [detect(names)]
}

function digestOf(content: Buffer): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`
}
