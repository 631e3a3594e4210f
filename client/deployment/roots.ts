import { existsSync, globSync, lstatSync, readlinkSync, realpathSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { basename, dirname, isAbsolute, relative, resolve, sep } from 'node:path'
import type { Mirror } from '../../common/contract.ts'
import { leftOut } from './ignored.ts'
import { placeOf } from './local-walk.ts'
import { MirrorRefused } from './mirror-refused.ts'

type Root = { folder: string; wanted: string[]; needed: string[]; onlyWanted: boolean }

/** Folders that are mirrored, and what of them is wanted; they are added one after the other, as they are asked for. */
export class Roots {
  readonly all: Root[] = []
  readonly sysPath: Mirror['sys-path'] = []

  readonly #say: (line: string) => void

  constructor(project: string, say: (line: string) => void) {
    this.#say = say
    this.#add(project)
  }

  get #project(): string {
    return this.all[0]?.folder ?? ''
  }

  /** @param path a real one; a folder, an archive, or what lies inside of one */
  onSysPath(path: string, behind: boolean): void {
    if (!existsSync(path)) {
      this.#say(`${path} is left out: it is on sys.path, and lies inside of an archive. Unpack that to have it.`)
      return
    }
    if (!statSync(path).isDirectory()) {
      const { root, inner } = this.#want(path)
      this.#place(root, inner, behind)
      return
    }
    const { root, inner } = this.#holding(path) ?? { root: this.#add(path), inner: '' }
    // The project is more than its modules: of it, rules may leave none.
    if (root > 0 || inner !== '') this.all[root]?.needed.push(inner)
    this.#place(root, inner, behind)
  }

  /** An archive in the project, or the folder of one in it, of which rules must not leave nothing. */
  named(path: string): void {
    if (!statSync(path).isDirectory()) this.file(path)
    else if (path !== this.#project) this.all[0]?.needed.push(relative(this.#project, path).replaceAll(sep, '/'))
  }

  /** What an install left in its site-packages. */
  installed(site: string, files: readonly string[]): void {
    this.all[this.#partly(site)]?.wanted.push(...files)
    this.#place(this.#partly(site), '', true)
  }

  /** @throws {MirrorRefused} where nothing is there, or it is out of the project behind a link in it */
  extra(written: string): void {
    const asked = resolve(this.#project, written)
    // A name may have the signs of a pattern in it.
    if (/[*?[{]/.test(written) && !existsSync(asked)) {
      this.#pattern(written)
      return
    }
    if (!existsSync(asked)) {
      throw new MirrorRefused(`extra-paths: there is no ${asked}`, 'Paths are relative to the project. Correct it.')
    }
    const path = this.#spelled(asked)
    const real = realpathSync(path)
    // Whoever writes the project's files must not choose which others of this machine are sent.
    if (this.#holding(path)?.root === 0 && !this.#holding(real)) {
      const hint = `Name ${real} itself, if that is meant.`
      throw new MirrorRefused(`extra-paths: ${written} leads out of the project, to ${real}`, hint)
    }
    // With the links that lead there: code goes by them.
    if (this.#holding(path)) this.file(path)
    if (!statSync(real).isDirectory()) {
      this.#want(real)
      return
    }
    const { root, inner } = this.#holding(real) ?? { root: this.#add(real), inner: '' }
    this.all[root]?.wanted.push(inner)
    this.#place(root, inner, false)
  }

  #pattern(pattern: string): void {
    const beside = (match: string) => (name: string) => existsSync(resolve(this.#project, dirname(match), name))
    const matches = globSync(pattern, { cwd: this.#project })
      .filter((match) => !match.split(/[\\/]/).some((name) => leftOut(name, beside(match))))
      .map((match) => resolve(this.#project, match))
    const there = matches.filter((path) => existsSync(path))
    for (const path of matches) {
      if (!there.includes(path)) this.#say(`extra-paths: ${path} is left out: it is a link to what is not there.`)
    }
    const files = there.filter((path) => statSync(path).isFile())
    if (files.length === 0) {
      const hint = `Patterns are relative to ${this.#project}; ** stands for folders of any depth.`
      throw new MirrorRefused(`extra-paths: no file is like ${pattern}`, hint)
    }
    for (const path of files) this.file(path)
  }

  /**
   * Wants a file, and the links that lead to it. Links are not followed out of what is mirrored, as nobody asked for what
   * is there: they are left out later, and named.
   */
  file(path: string): void {
    let at = this.#spelled(path)
    for (let link = firstLink(at); link !== undefined; link = firstLink(at)) {
      this.#want(link)
      const next = this.#spelled(resolve(dirname(link), readlinkSync(link), relative(link, at)))
      if (!this.#holding(next) && dirname(next) !== dirname(link)) return
      at = next
    }
    this.#want(at)
  }

  /** A path as the folders that are mirrored are spelled; of its links only those on the way to them are followed. */
  #spelled(path: string): string {
    return this.#holding(path) ? path : placeOf(path)
  }

  #want(path: string): { root: number; inner: string } {
    const place = this.#holding(path) ?? { root: this.#partly(dirname(path)), inner: basename(path) }
    this.all[place.root]?.wanted.push(place.inner)
    return place
  }

  #place(root: number, path: string, behind: boolean): void {
    if (this.sysPath.some((each) => each.root === root && (each.path ?? '') === path)) return
    this.sysPath.push({ root, ...(path !== '' && { path }), ...(behind && { behind }) })
  }

  #holding(path: string): { root: number; inner: string } | undefined {
    for (const [root, { folder, onlyWanted }] of this.all.entries()) {
      const inner = relative(folder, path)
      if (onlyWanted || isAbsolute(inner) || inner === '..' || inner.startsWith(`..${sep}`)) continue
      return { root, inner: inner.replaceAll(sep, '/') }
    }
    return undefined
  }

  #partly(folder: string): number {
    const found = this.all.findIndex((each) => each.folder === folder && each.onlyWanted)
    return found >= 0 ? found : this.all.push({ folder, wanted: [], needed: [], onlyWanted: true }) - 1
  }

  #add(folder: string): number {
    const home = realHome()
    if (folder === home || home.startsWith(folder.endsWith(sep) ? folder : folder + sep)) {
      throw new MirrorRefused(
        `${folder} would be mirrored with all that is in it`,
        'Begin in the folder of a project, and take folders like this one out of PYTHONPATH.',
      )
    }
    return this.all.push({ folder, wanted: [], needed: [], onlyWanted: false }) - 1
  }
}

/** The link that a path leads through first, or is. */
function firstLink(path: string): string | undefined {
  const parts = path.split(sep)
  return parts
    .map((_, n) => parts.slice(0, n + 1).join(sep))
    .find((each) => each !== '' && lstatSync(each, { throwIfNoEntry: false })?.isSymbolicLink())
}

/** What is compared with real paths must be one: homes often lie behind links. */
export function realHome(): string {
  const home = homedir()
  return existsSync(home) ? realpathSync.native(home) : home
}
