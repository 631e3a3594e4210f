import { posix } from 'node:path'
import { EnvironmentFileError } from '../../../common/environment-file-error.ts'
import type { EnvironmentFiles } from '../spec.ts'
import { lineAt } from './lock-places.ts'
import { insideTree } from './uv-sources.ts'

/** `{ path = "x-1.0-py3-none-any.whl" }`: a file of an index that is a folder, for which uv keeps no hash. */
const FILE = /\{ path = "([^"]+)" \}/g
const FOLDER = /^source = \{ registry = "([^"]+)" \}$/gm

/**
 * The files of the code that a uv.lock takes from folders that are indexes, by their places in the lock.
 * @throws {EnvironmentFileError} where a folder lies outside of the code
 */
function filesOfFolders(path: string, lock: string): Map<number, string> {
  const found = new Map<number, string>()
  for (const { 1: folder = '', index } of lock.matchAll(FOLDER)) {
    if (/^[a-z][a-z0-9+.-]*:/i.test(folder)) continue
    const inside = insideTree(path, lineAt(lock, index), folder)
    const end = lock.indexOf('\n[[package]]', index)
    for (const match of lock.slice(index, end < 0 ? undefined : end).matchAll(FILE)) {
      found.set(index + match.index, posix.join(inside, match[1] ?? ''))
    }
  }
  return found
}

/** Those files. */
export function folderFiles(path: string, lock: string): string[] {
  return [...new Set(filesOfFolders(path, lock).values())]
}

/** @throws {EnvironmentFileError} for one that is not there */
export function checkFolderFiles(path: string, lock: string, there: ReadonlySet<string>): void {
  for (const [index, file] of filesOfFolders(path, lock)) {
    if (there.has(file)) continue
    const hint = 'Commit it, or run "uv lock" where it is there.'
    throw new EnvironmentFileError(path, lineAt(lock, index), `there is no ${file} in the repository`, hint)
  }
}

/** The files of a spec with the hashes in its lock that uv would take from those files, which a resolver does not have. */
export function withFolderHashes(
  path: string,
  files: EnvironmentFiles,
  local: Record<string, string>,
): EnvironmentFiles {
  const lock = files[path] ?? ''
  const rows = filesOfFolders(path, lock)
  const hashed = lock.replace(FILE, (row, _name, index: number) => {
    const file = rows.get(index)
    return file === undefined ? row : row.replace(' }', `, hash = "sha256:${local[file] ?? ''}" }`)
  })
  return { ...files, [path]: hashed }
}
