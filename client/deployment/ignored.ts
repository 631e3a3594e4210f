import { existsSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import ignore, { type Ignore } from 'ignore'

/** Files of rules, in the order in which they are read: what comes later may take back what came before. */
const RULE_FILES = ['.gitignore', '.meadowignore']

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

/** Whether a name is one of git's own, a cache, or what an installer makes, wherever it is. */
export function leftOut(name: string): boolean {
  return LEFT_OUT.has(name) || /\.py[co]$/.test(name)
}

/** Whether a folder with these names in it is a Python environment. */
export function isEnvironment(names: readonly string[]): boolean {
  return names.includes('pyvenv.cfg') || names.includes('conda-meta')
}

/** The rules of a folder and of those above it. Paths are relative to the root, without a slash at the end. */
export class Rules {
  readonly #own: Ignore
  /** What the rules see of a path: with this in front, without what the folder has. */
  readonly #front: string
  readonly #folder: string
  readonly #above: Rules | undefined

  private constructor(own: Ignore, { front, folder }: { front: string; folder: string }, above: Rules | undefined) {
    this.#own = own
    this.#front = front
    this.#folder = folder
    this.#above = above
  }

  /** Those of the folders above a root, up to the top of the git checkout that it is in, where it is in one. */
  static above(root: string): Rules | undefined {
    const folders: string[] = []
    for (let at = root; !existsSync(join(at, '.git')); at = dirname(at)) {
      if (at === dirname(at)) return undefined
      folders.unshift(dirname(at))
    }
    let rules: Rules | undefined
    for (const folder of folders) {
      const front = `${relative(folder, root).replaceAll(sep, '/')}/`
      const own = rulesIn(folder, RULE_FILES)
      if (own !== undefined) rules = new Rules(own, { front, folder: '' }, rules)
    }
    return rules
  }

  /**
   * Those of a folder of a root, where it has any; else the ones above.
   * @param names what is in the folder
   */
  static of(root: string, folder: string, names: readonly string[], above: Rules | undefined): Rules | undefined {
    const found = RULE_FILES.filter((name) => names.includes(name))
    const own = found.length > 0 ? rulesIn(join(root, folder), found) : undefined
    return own ? new Rules(own, { front: '', folder: folder === '' ? '' : `${folder}/` }, above) : above
  }

  /** Whether it is ignored. The nearest rule counts; the folders that it is in are taken to be not ignored. */
  ignores(path: string, isFolder: boolean): boolean {
    const seen = `${this.#front}${path.slice(this.#folder.length)}`
    const { ignored, unignored } = this.#own.test(isFolder ? `${seen}/` : seen)
    if (ignored || unignored) return ignored
    return this.#above?.ignores(path, isFolder) ?? false
  }
}

function rulesIn(folder: string, names: readonly string[]): Ignore | undefined {
  const texts = names.map((name) => join(folder, name)).filter((file) => existsSync(file) && statSync(file).isFile())
  if (texts.length === 0) return undefined
  // Git's own rules take case as it is.
  const rules = ignore({ ignorecase: false })
  for (const file of texts) rules.add(readFileSync(file, 'utf8'))
  return rules
}
