import { access, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { GitFailed, git } from '../../common/git-process.ts'
import { ObjectReader } from '../../common/object-reader.ts'
import { gitEnvironment } from './git.ts'

/** Makes a folder a bare repository, unless it is one. */
export async function makeBare(folder: string): Promise<void> {
  const made = await access(join(folder, 'HEAD')).then(
    () => true,
    () => false,
  )
  if (made) return
  await mkdir(folder, { recursive: true })
  await git(['init', '--quiet', '--bare', '--template=', '.'], { cwd: folder, env: gitEnvironment() })
}

/** How long one may be read, in milliseconds. */
const READ_MS = 15 * 60_000

/** Reads what is there, and what is fetched later. To be disposed of. */
export function readObjects(folder: string, signal: AbortSignal): ObjectReader {
  return new ObjectReader({ cwd: folder, env: gitEnvironment(), signal, timeout: READ_MS })
}

/** Whether a commit with all of its tree is there: a fetch leaves all or nothing. */
export async function holdsCommit(folder: string, commit: string): Promise<boolean> {
  try {
    await git(['cat-file', '-e', `${commit}^{commit}`], { cwd: folder, env: gitEnvironment() })
    return true
  } catch (error) {
    if (error instanceof GitFailed) return false
    throw error
  }
}
