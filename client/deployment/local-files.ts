import { join } from 'node:path'
import { outsideLinks } from '../../common/bundle-links.ts'
import { type LocalFile, Walk } from './local-walk.ts'

/** What is mirrored of a folder. */
export interface LocalFolder {
  folder: string
  /** Paths that are mirrored though rules say otherwise; folders with all that is in them. */
  wanted?: readonly string[]
  /** Folders on `sys.path`: mirrored though git ignores them, where it leaves nothing in them that can be imported. */
  needed?: readonly string[]
  /** Nothing but what is wanted. */
  onlyWanted?: boolean
}

/** Files that a mirror may have; more are a folder that was not meant. */
const MOST_FILES = 500_000

/**
 * The files and links of a folder, in the byte order of their paths. Without what `.meadowignore` names, or else
 * `.gitignore` and git does not track, without caches and environments, without links that lead out. Empty folders are
 * nothing, as for git. It blocks the process while it looks: that is several times as fast, and nothing else is to be done.
 * @param say is told of links and modules that are left out
 * @param most files that it may have
 * @throws {MirrorRefused} for what can't be mirrored at all
 */
export function localFiles(root: LocalFolder, say: (line: string) => void, most = MOST_FILES): LocalFile[] {
  const walk = new Walk(root.folder, most, say)
  if (!root.onlyWanted) walk.all()
  for (const path of root.wanted ?? []) walk.wanted(path)
  for (const path of root.needed ?? []) walk.needed(path)
  const { found } = walk
  const modules = [...walk.ignoredModules].filter((path) => !found.has(path)).sort()
  if (modules.length > 0) {
    const first = `${modules[0]}${modules.length > 1 ? ' and others' : ''}`
    const fix = `Name those that are needed in extra-paths, or like "!/${modules[0]}" in ${join(root.folder, '.meadowignore')}.`
    say(`Ignored Python files of ${root.folder} are left out (${modules.length}): ${first}. ${fix}`)
  }
  const links = new Map<string, string>()
  for (const { path, link } of found.values()) if (link !== undefined) links.set(path, link)
  for (const path of outsideLinks(links)) {
    say(
      `${join(root.folder, path)} is left out: it is a link that leads out of ${root.folder} (to ${links.get(path)}).`,
    )
    found.delete(path)
  }
  return inByteOrder([...found.values()])
}

function inByteOrder(files: LocalFile[]): LocalFile[] {
  // UTF-8 as latin1: comparing characters is comparing bytes.
  const keyed = files.map((file) => ({ file, key: Buffer.from(file.path).toString('latin1') }))
  return keyed.sort((a, b) => (a.key < b.key ? -1 : 1)).map(({ file }) => file)
}
