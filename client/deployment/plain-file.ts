import { lstat, readFile, realpath } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { EnvironmentFileError } from '../../common/environment-file-error.ts'

/**
 * An environment file of this machine that is to be sent; undefined where there is none. What other files say must not
 * lead to more of this machine: not by links, and not to git's own, which may hold credentials.
 * @param path inside the folder
 * @throws {EnvironmentFileError} where it is no regular file, or not where its path says
 */
export async function plainFile(folder: string, path: string): Promise<Buffer | undefined> {
  const at = join(folder, path)
  if (!(await isThere(at))) return undefined
  const fail = (why: string) =>
    new EnvironmentFileError(
      path,
      undefined,
      `can't be sent from this machine: ${why}`,
      'Commit it, or let an earlier step write it as a regular file, and name it without links.',
    )
  const real = await realpath(at).catch(() => undefined)
  const inside = relative(await realpath(folder), real ?? at)
  if (real === undefined || inside !== relative(folder, at)) throw fail('it is a link, or lies behind one')
  const parts = inside.split(sep)
  if (parts[0] === '..') throw fail(`it is not in ${folder}`)
  if (parts.some((part) => part.toLowerCase() === '.git')) throw fail("it is one of git's own files")
  if (!(await lstat(at)).isFile()) throw fail('it is not a regular file')
  return await readFile(at)
}

const NOT_THERE = ['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG']

/** Whether something is at a path, a link to nothing included. */
export async function isThere(path: string): Promise<boolean> {
  try {
    await lstat(path)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && NOT_THERE.includes(String(error.code))) return false
    throw error
  }
}
