import { type BigIntStats, lstatSync, readdirSync, readlinkSync, realpathSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { outsideLinks } from '../../common/bundle-links.ts'
import { checkName } from '../../common/bundle-names.ts'
import { isEnvironment, leftOut, Rules } from './ignored.ts'
import { MirrorRefused } from './mirror-refused.ts'

/** A file or link that is mirrored. */
export interface LocalFile {
  /** Inside the root, with slashes. */
  path: string
  executable: boolean
  /** Bytes; 0 for a link. */
  size: number
  /** Target, where it is a symbolic link. */
  link?: string
  /** Says whether it is still the same: another one stands for another content, but for what was written just now. */
  stamp: string
  /** When it was changed last, in milliseconds since 1970; of content and inode the later. */
  changed: number
}

/** What is mirrored of a folder. */
export interface LocalFolder {
  folder: string
  /** Paths that are mirrored though rules say otherwise; folders with all that is in them. */
  wanted?: readonly string[]
  /** Folders that are mirrored without what rules say of them, where rules leave nothing of them. */
  needed?: readonly string[]
  /** Nothing but what is wanted. */
  onlyWanted?: boolean
}

/** Files that a mirror may have; more are a folder that was not meant. */
const MOST_FILES = 500_000

/**
 * The files and links of a folder, in the byte order of their paths. Without what git ignores or `.meadowignore` names,
 * without caches and environments, without links that lead out. Empty folders are nothing, as for git.
 * It blocks the process while it looks: that is several times as fast, and nothing else is to be done.
 * @param say is told of links that are left out
 * @throws {MirrorRefused} for what can't be mirrored at all
 */
export function localFiles(root: LocalFolder, say: (line: string) => void): LocalFile[] {
  const found = new Map<string, LocalFile>()
  const walk = new Walk(root.folder, found)
  if (!root.onlyWanted) walk.folder('', Rules.above(root.folder), true)
  for (const path of root.wanted ?? []) walk.wanted(path)
  const all = [...found.keys()]
  for (const path of root.needed ?? []) if (!all.some((each) => each.startsWith(`${path}/`))) walk.wanted(path)
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

class Walk {
  readonly #root: string
  readonly #found: Map<string, LocalFile>

  constructor(root: string, found: Map<string, LocalFile>) {
    this.#root = root
    this.#found = found
  }

  /** @param ruled whether rules count here */
  folder(path: string, above: Rules | undefined, ruled: boolean): void {
    const names = this.#names(path)
    if (path !== '' && isEnvironment(names)) return
    const rules = ruled ? Rules.of(this.#root, path, names, above) : undefined
    for (const name of names) {
      if (leftOut(name)) continue
      const inner = path === '' ? name : `${path}/${name}`
      const stats = this.#look(inner)
      if (stats === undefined || rules?.ignores(inner, stats.isDirectory())) continue
      if (stats.isDirectory()) this.folder(inner, rules, ruled)
      else this.#add(inner, stats)
    }
  }

  /** Adds what is at a path, whatever the rules say. */
  wanted(path: string): void {
    if (path !== '' && this.#leadsThroughLink(path)) return
    const stats = this.#look(path)
    if (stats?.isDirectory()) this.folder(path, undefined, false)
    else if (stats !== undefined) this.#add(path, stats)
  }

  #add(path: string, stats: BigIntStats): void {
    if (!stats.isFile() && !stats.isSymbolicLink()) return
    if (this.#found.size >= MOST_FILES) {
      throw new MirrorRefused(
        `${this.#root} has more than ${MOST_FILES} files`,
        'Leave folders of data out by a .meadowignore file, or begin in a smaller folder.',
      )
    }
    checkName(path)
    const link = stats.isSymbolicLink() ? this.#target(path) : undefined
    const { mtimeNs, ctimeNs, mtimeMs, ctimeMs, ino, size, mode } = stats
    this.#found.set(path, {
      path,
      executable: (mode & 0o100n) !== 0n,
      size: link === undefined ? Number(size) : 0,
      ...(link !== undefined && { link }),
      stamp: `${mtimeNs} ${ctimeNs} ${ino}`,
      changed: Number(mtimeMs > ctimeMs ? mtimeMs : ctimeMs),
    })
  }

  /** A link's target, relative where it is an absolute path into the root. */
  #target(path: string): string {
    const target = readlinkSync(join(this.#root, path))
    const inside = relative(this.#root, resolve(target))
    if (!/^([\\/]|[A-Za-z]:)/.test(target) || inside.startsWith('..') || resolve(inside) === inside) {
      return target.replaceAll(sep, '/')
    }
    return relative(dirname(join(this.#root, path)), target).replaceAll(sep, '/') || '.'
  }

  #leadsThroughLink(path: string): boolean {
    const folder = dirname(join(this.#root, path))
    return realpathSync(folder) !== folder
  }

  #look(path: string): BigIntStats | undefined {
    const stats = lstatSync(join(this.#root, path), { bigint: true, throwIfNoEntry: false })
    if (stats === undefined && path.includes('\ufffd')) {
      throw new MirrorRefused(`${path} has a name that is not UTF-8`, 'Rename it, or name it in .meadowignore.')
    }
    return stats
  }

  #names(path: string): string[] {
    try {
      return readdirSync(join(this.#root, path))
    } catch (error) {
      const why = error instanceof Error ? error.message : error
      throw new MirrorRefused(`${join(this.#root, path)} can't be read: ${why}`, 'Name it in .meadowignore.')
    }
  }
}

function inByteOrder(files: LocalFile[]): LocalFile[] {
  // UTF-8 as latin1: comparing characters is comparing bytes.
  const keyed = files.map((file) => ({ file, key: Buffer.from(file.path).toString('latin1') }))
  return keyed.sort((a, b) => (a.key < b.key ? -1 : 1)).map(({ file }) => file)
}
