import { folderEntry, type OwnEntry } from './skeleton.ts'

/** The folder of a path; empty for a path at the root. */
export function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')))
}

/** The parent folders of some paths, sorted: every layer lists them, or engines would make them up. */
export function parentFolders(paths: Iterable<string>): OwnEntry[] {
  const folders = new Set<string>()
  for (const path of paths) {
    for (let folder = parentOf(path); folder !== '' && !folders.has(folder); folder = parentOf(folder)) {
      folders.add(folder)
    }
  }
  return [...folders].sort().map((folder) => folderEntry(folder))
}
