import { existsSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import ignore, { type Ignore } from 'ignore'

/** Folders that are never mirrored: git's own, caches, and what installers make. */
const LEFT_OUT = new Set([
  '.git',
  '.hg',
  '.svn',
  '__pycache__',
  '__pypackages__',
  '.venv',
  'node_modules',
  '.mypy_cache',
  '.pytest_cache',
  '.ruff_cache',
  '.hypothesis',
  '.tox',
  '.nox',
  '.eggs',
  '.ipynb_checkpoints',
  '.pixi',
  '.DS_Store',
])

/**
 * Whether a name is one of git's own, a cache, or what an installer makes, wherever it is. Byte code is a module itself
 * where it is all that there is of it, under the module's name.
 * @param isBeside whether something of another name is in the same folder
 */
export function leftOut(name: string, isBeside: (other: string) => boolean): boolean {
  if (!/\.py[co]$/.test(name)) return LEFT_OUT.has(name)
  return !/^[^.]+\.pyc$/.test(name) || isBeside(name.slice(0, -1))
}

/** Whether a folder with these names in it is a Python environment. */
export function isEnvironment(names: readonly string[]): boolean {
  return names.includes('pyvenv.cfg') || names.includes('conda-meta')
}

/** Whether paths are ignored. They are relative to the root, without a slash at the end. */
export interface Rules {
  /** Undefined where no rule names it. The folders that it is in are taken to be walked. */
  ignores(path: string, isFolder: boolean): boolean | undefined
  /** A folder is walked, whatever rules further out say of it: of what is in it they may name each path anew. */
  keep(folder: string): void
  /** Those that count in a folder, where these count in the one that it is in. */
  within(folder: string, names: readonly string[]): Rules
}

/** The same of every path, and no file of rules changes it. */
function always(ignored: boolean | undefined): Rules {
  const rules: Rules = { ignores: () => ignored, keep: () => {}, within: () => rules }
  return rules
}

export const NO_RULES = always(undefined)
export const ALL_IGNORED = always(true)

/** Where git reads rules. https://git-scm.com/docs/gitignore */
export const GIT_RULES = '.gitignore'

/** Rules as git reads them, from files of one name: the nearest one that names a path counts. */
export class FileRules implements Rules {
  readonly #root: string
  readonly #file: string
  /** The nearest first. */
  readonly #levels: readonly Level[]

  private constructor(root: string, file: string, levels: readonly Level[]) {
    this.#root = root
    this.#file = file
    this.#levels = levels
  }

  /**
   * Those of the folders above a root, up to the top of the git checkout that it is in, where it is in one.
   * @param kept whether the root is walked though they name it, or a folder that it is in
   */
  static above(root: string, file: string, kept: boolean): FileRules {
    const top = checkoutOf(root) ?? root
    const levels: Level[] = []
    for (let at = root; at !== top; ) {
      at = dirname(at)
      const own = rulesIn(join(at, file))
      if (own === undefined) continue
      const level = { own, front: `${relative(at, root).replaceAll(sep, '/')}/`, folder: '' }
      const parts = level.front.split('/').slice(0, -1)
      if (kept) for (const n of parts.keys()) keepIn(level, parts.slice(0, n + 1).join('/'))
      levels.push(level)
    }
    // What a user ignores in this checkout alone counts less than all files of the tree.
    const excluded = file === GIT_RULES ? rulesIn(join(top, '.git', 'info', 'exclude')) : undefined
    const front = root === top ? '' : `${relative(top, root).replaceAll(sep, '/')}/`
    if (excluded) levels.push({ own: excluded, front, folder: '' })
    return new FileRules(root, file, levels)
  }

  ignores(path: string, isFolder: boolean): boolean | undefined {
    for (const level of this.#levels) {
      const { ignored, unignored } = level.own.test(`${seenFrom(level, path)}${isFolder ? '/' : ''}`)
      if (ignored || unignored) return ignored
    }
    return undefined
  }

  keep(folder: string): void {
    for (const level of this.#levels) keepIn(level, seenFrom(level, folder))
  }

  within(folder: string, names: readonly string[]): FileRules {
    const own = names.includes(this.#file) ? rulesIn(join(this.#root, folder, this.#file)) : undefined
    if (own === undefined) return this
    const level = { own, front: '', folder: folder === '' ? '' : `${folder}/` }
    return new FileRules(this.#root, this.#file, [level, ...this.#levels])
  }
}

/** The rules of one file. */
interface Level {
  own: Ignore
  /** What the rules see of a path: with this in front, without what the folder has. */
  front: string
  folder: string
}

function seenFrom({ front, folder }: Level, path: string): string {
  return `${front}${path.slice(folder.length)}`
}

/** The last rule counts: one that names nothing but the folder. */
function keepIn({ own }: Level, folder: string): void {
  if (!own.ignores(`${folder}/`)) return
  own.add({ pattern: `!/${folder.replace(/[\\*?[\]]/g, '\\$&')}/` })
}

/** The top of the git checkout that a folder is in. */
export function checkoutOf(folder: string): string | undefined {
  for (let at = folder; ; at = dirname(at)) {
    if (existsSync(join(at, '.git'))) return at
    if (at === dirname(at)) return undefined
  }
}

function rulesIn(file: string): Ignore | undefined {
  // In other worktrees .git is a file.
  if (!existsSync(file) || !statSync(file).isFile()) return undefined
  // Git's own rules take case as it is.
  return ignore({ ignorecase: false }).add(readFileSync(file, 'utf8'))
}
