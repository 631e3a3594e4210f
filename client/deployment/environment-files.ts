import { createHash } from 'node:crypto'
import { join, posix } from 'node:path'
import { condaClosure } from '../../common/conda-files.ts'
import { isContainerImage } from '../../common/container-image.ts'
import { detect, FORMATS, formatOf } from '../../common/detect.ts'
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

function digestOf(content: Buffer): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`
}
