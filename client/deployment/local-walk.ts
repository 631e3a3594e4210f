import { type BigIntStats, type Dirent, lstatSync, readdirSync, readlinkSync, realpathSync } from 'node:fs'
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path'
import { checkName } from '../../common/bundle-names.ts'
import {
  ALL_IGNORED,
  checkoutOf,
  FileRules,
  GIT_RULES,
  isEnvironment,
  leftOut,
  NO_RULES,
  type Rules,
} from './ignored.ts'
import { MirrorRefused } from './mirror-refused.ts'
import { trackedIn } from './tracked.ts'

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

/** Rules of both kinds; `.meadowignore` is asked first. */
interface Ruling {
  meadow: Rules
  git: Rules
}

/** Looks through a folder for what is mirrored of it. */
export class Walk {
  readonly found = new Map<string, LocalFile>()
  /** Seen in folders that are mirrored. */
  readonly ignoredModules = new Set<string>()
  readonly #root: string
  readonly #most: number
  readonly #say: (line: string) => void
  /** Files that git tracks, and the folders that they are in. */
  readonly #tracked = new Set<string>()

  constructor(root: string, most: number, say: (line: string) => void) {
    this.#root = root
    this.#most = most
    this.#say = say
  }

  /** Adds what rules leave of the root. */
  all(): void {
    if (checkoutOf(this.#root) !== undefined) this.#track('')
    const git = FileRules.above(this.#root, GIT_RULES, true)
    this.#folder('', { meadow: this.#meadow(''), git })
  }

  /** Adds what is at a path, whatever the rules say. */
  wanted(path: string): void {
    if (path !== '' && this.#leadsThroughLink(path)) return
    const stats = this.#look(path)
    if (stats?.isDirectory()) this.#folder(path, { meadow: NO_RULES, git: NO_RULES })
    else if (stats !== undefined) this.#add(path, stats)
  }

  /** Adds what `.meadowignore` leaves of a folder that Python looks into, where git leaves nothing that it would find. */
  needed(path: string): void {
    const inside = (each: string) => path === '' || each.startsWith(`${path}/`)
    const here = [...this.found.keys()].filter(inside)
    if (here.some(isModule)) return
    const whole = new Walk(this.#root, this.#most, this.#say)
    whole.#folder(path, { meadow: this.#meadow(path), git: NO_RULES })
    if (here.length > 0 && ![...whole.found.keys()].some(isModule)) return
    for (const [each, file] of whole.found) this.found.set(each, file)
  }

  /** The rules of `.meadowignore` files above a folder of the root. */
  #meadow(path: string): Rules {
    let rules: Rules = FileRules.above(this.#root, '.meadowignore', false)
    const parts = path.split('/')
    for (const n of path === '' ? [] : parts.keys()) {
      const folder = parts.slice(0, n).join('/')
      rules = rules.within(
        folder,
        this.#entries(folder).map(({ name }) => name),
      )
      const inner = parts.slice(0, n + 1).join('/')
      if (rules.ignores(inner, true)) return ALL_IGNORED
      rules.keep(inner)
    }
    return rules
  }

  #track(path: string): void {
    const front = path === '' ? '' : `${path}/`
    for (const each of trackedIn(join(this.#root, path), this.#say)) this.#tracked.add(`${front}${each}`)
  }

  #folder(path: string, above: Ruling): void {
    const entries = this.#entries(path)
    const names = entries.map(({ name }) => name)
    if (path !== '' && isEnvironment(names)) return
    if (path !== '' && names.includes('.git') && above.git !== NO_RULES) this.#track(path)
    const meadow = above.meadow.within(path, names)
    const git = above.git.within(path, names)
    for (const entry of entries) {
      if (leftOut(entry.name, (name) => names.includes(name))) continue
      const inner = path === '' ? entry.name : `${path}/${entry.name}`
      const isFolder = entry.isDirectory()
      const asked = meadow.ignores(inner, isFolder)
      const ofGit = asked === undefined && git.ignores(inner, isFolder) === true
      if (asked === true || (ofGit && !this.#tracked.has(inner))) {
        if (!isFolder && isModule(inner)) this.ignoredModules.add(inner)
        continue
      }
      const stats = this.#look(inner)
      if (!stats?.isDirectory()) {
        if (stats !== undefined) this.#add(inner, stats)
        continue
      }
      meadow.keep(inner)
      git.keep(inner)
      // Of a folder that git ignores there is only what it tracks.
      this.#folder(inner, { meadow, git: ofGit ? ALL_IGNORED : git })
    }
  }

  #add(path: string, stats: BigIntStats): void {
    if (!stats.isFile() && !stats.isSymbolicLink()) return
    if (this.found.size >= this.#most) {
      throw new MirrorRefused(
        `${this.#root} has more than ${this.#most} files`,
        'Leave folders of data out by a .meadowignore file, or begin in a smaller folder.',
      )
    }
    checkName(path)
    const link = stats.isSymbolicLink() ? this.#target(path) : undefined
    const { mtimeNs, ctimeNs, mtimeMs, ctimeMs, ino, size, mode } = stats
    this.found.set(path, {
      path,
      executable: (mode & 0o100n) !== 0n,
      size: link === undefined ? Number(size) : 0,
      ...(link !== undefined && { link }),
      stamp: `${mtimeNs} ${ctimeNs} ${ino}`,
      changed: Number(mtimeMs > ctimeMs ? mtimeMs : ctimeMs),
    })
  }

  /** A link's target, relative where it is an absolute path into the root, whatever name that has there. */
  #target(path: string): string {
    const target = readlinkSync(join(this.#root, path))
    if (!/^([\\/]|[A-Za-z]:)/.test(target)) return target.replaceAll(sep, '/')
    const at = placeOf(target)
    const inside = relative(this.#root, at)
    if (inside === '..' || inside.startsWith(`..${sep}`) || isAbsolute(inside)) return target.replaceAll(sep, '/')
    return relative(dirname(join(this.#root, path)), at).replaceAll(sep, '/') || '.'
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

  #entries(path: string): Dirent[] {
    try {
      return readdirSync(join(this.#root, path), { withFileTypes: true })
    } catch (error) {
      const why = error instanceof Error ? error.message : error
      throw new MirrorRefused(`${join(this.#root, path)} can't be read: ${why}`, 'Name it in .meadowignore.')
    }
  }
}

/** Where a path is, once the links on the way to it are followed; not the one that it may be itself. */
export function placeOf(path: string): string {
  try {
    // Not the other realpath: it takes `..` for the folder that is written before, which may be a link.
    return join(realpathSync.native(dirname(path)), basename(path))
  } catch {
    return resolve(path)
  }
}

function isModule(path: string): boolean {
  return /\.(pyc?|so|pyd)$/.test(path)
}
