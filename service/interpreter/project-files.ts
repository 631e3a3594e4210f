import { posix } from 'node:path'
import { EnvironmentFileError } from '../../common/environment-file-error.ts'
import { environmentText } from '../../common/environment-text.ts'
import type { CodeFiles } from './formats/format.ts'
import type { EnvironmentFiles } from './spec.ts'

/** What build backends read of a project before they look at its code. */
const DESCRIPTIONS = ['pyproject.toml', 'setup.cfg', 'setup.py']

/**
 * The files that say what a project is, as far as an editable install of it goes: its descriptions, and every file that
 * they name (a readme, the file with the version, scripts) or that `setup.py` seems to read. Not its code, so that an
 * install of it outlives changes of the code.
 * @param folder of the project, inside the code tree; the root is empty
 * @returns paths inside the code tree, sorted; none where the folder holds no project
 */
export async function projectFiles(code: Pick<CodeFiles, 'paths' | 'read'>, folder: string): Promise<string[]> {
  const there = new Set(await code.paths())
  const at = (name: string) => posix.join(folder, name)
  const found = new Set<string>()
  for (const name of DESCRIPTIONS) {
    if (!there.has(at(name))) continue
    found.add(at(name))
    const text = Buffer.from((await code.read(at(name))) ?? []).toString()
    for (const named of namedFiles(text)) {
      const path = at(named)
      if (there.has(path)) found.add(path)
    }
    if (name !== 'setup.py') continue
    const isRead = readBySetup(text)
    for (const path of there) if (isInside(path, folder) && isRead(posix.relative(folder, path))) found.add(path)
  }
  return [...found].sort()
}

/**
 * The texts of these files of several projects, by path: what a lock of them depends on.
 * @param folders of the projects, inside the code tree
 * @throws {EnvironmentFileError} for a description that is no UTF-8
 */
export async function descriptions(
  code: Pick<CodeFiles, 'paths' | 'read'>,
  folders: string[],
): Promise<EnvironmentFiles> {
  const paths = await Promise.all(folders.map((folder) => projectFiles(code, folder)))
  const found: EnvironmentFiles = {}
  for (const path of new Set(paths.flat())) {
    const bytes = await code.read(path)
    const isText = bytes?.includes(0) === false
    if (bytes !== undefined && !isText && DESCRIPTIONS.includes(posix.basename(path))) {
      throw new EnvironmentFileError(
        path,
        undefined,
        'is not UTF-8',
        'Save it as UTF-8 text: build backends read no other.',
      )
    }
    // Pictures that a readme shows, say nothing to a resolver.
    if (bytes !== undefined && isText) found[path] = environmentText(path, bytes)
  }
  return found
}

/**
 * Where the modules of a project are, as far as that goes into an editable install of it: its outermost packages, folders
 * of modules that are in no package, and modules at its root or in `src`. Some backends list what can be imported.
 * @param paths of all files of the code
 * @returns paths inside the project, sorted
 */
export function importablePlaces(paths: Iterable<string>, folder: string): string[] {
  const modules = [...paths].filter((path) => path.endsWith('.py') && isInside(path, folder))
  const own = modules.map((path) => posix.relative(folder, path))
  const packages = new Set(own.filter((path) => posix.basename(path) === '__init__.py').map(posix.dirname))
  const places = own.map((path) => {
    const parents = path.split('/').map((_, n, parts) => parts.slice(0, n).join('/'))
    const outermost = parents.find((parent) => packages.has(parent))
    const parent = posix.dirname(path)
    return outermost ?? (parent === '.' || parent === 'src' ? path : parent)
  })
  return [...new Set(places)].sort()
}

function isInside(path: string, folder: string): boolean {
  return folder === '' || path.startsWith(`${folder}/`)
}

/** Files that a `setup.py` reads for what it says: requirements, a version, a readme. */
const READABLE = /(?:^|\/)(?:[A-Z_]+|[^/]*\.(?:txt|in|pip|md|rst|cfg|ini|toml|version))$/

/**
 * Which files of a project its `setup.py` seems to read, by the texts in it: it may join a path of parts, and fill in
 * what differs (`f"requirements/{name}.txt"`).
 */
function readBySetup(text: string): (path: string) => boolean {
  const words = new Set([...text.matchAll(QUOTED)].flatMap(([, double, single]) => (double ?? single ?? '').split('/')))
  const open = [...words].filter((word) => /\w/.test(word.replace(FILLED_IN, '')) && isOpen(word)).map(pattern)
  return (path) => {
    const parts = path.split('/')
    const name = parts.pop() ?? ''
    const isAllNamed = () => parts.every((part) => words.has(part))
    if (name.endsWith('.py')) return words.has(name) && isAllNamed()
    if (!READABLE.test(path)) return false
    return words.has(name) || (open.some((each) => each.test(name)) && isAllNamed())
  }
}

/** What stands for something else, in a format or a pattern for files. */
const FILLED_IN = /\{[^}]*\}|%(?:\(\w+\))?s|\*/g

/** `"requirements/" + name + ".txt"` too. */
function isOpen(word: string): boolean {
  return word.startsWith('.') || word.search(FILLED_IN) >= 0
}

function pattern(word: string): RegExp {
  const parts = word.split(FILLED_IN).map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
  return new RegExp(`${word.startsWith('.') ? '' : '^'}${parts.join('.*')}$`)
}

const QUOTED = /"([^"\n]{1,255})"|'([^'\n]{1,255})'/g

/** Whatever could be the name of a file, or of a module whose attribute is the version. */
function* namedFiles(text: string): Generator<string> {
  for (const [, double, single] of text.matchAll(QUOTED)) {
    yield* candidates(double ?? single ?? '')
  }
  // setup.cfg writes without quotes: `long_description = file: README.md, CHANGES.md`.
  for (const [, values = ''] of text.matchAll(/\b(?:file|attr):\s*(.+)/g)) {
    for (const value of values.split(',')) yield* candidates(value.trim())
  }
}

function* candidates(value: string): Generator<string> {
  if (value.startsWith('/') || value.split('/').includes('..')) return
  yield value
  const module = /^[A-Za-z_][\w.]*\.\w+$/.exec(value) ? value.split('.').slice(0, -1).join('/') : undefined
  if (module === undefined) return
  for (const source of ['', 'src/']) yield* [`${source}${module}.py`, `${source}${module}/__init__.py`]
}
