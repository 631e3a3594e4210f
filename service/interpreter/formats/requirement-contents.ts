import { posix } from 'node:path'
import { EnvironmentFileError } from '../../../common/environment-file-error.ts'
import { normalizeName } from '../../../common/package-name.ts'
import { type LineOption, lineOption, requirementLines } from '../../../common/requirement-lines.ts'
import { includedBy } from '../../../common/requirements-closure.ts'
import type { Requirement } from '../lock.ts'
import type { IndexWish, LocalSources } from '../resolution.ts'
import type { EnvironmentFiles, InterpreterSpec } from '../spec.ts'
import type { Place } from './format.ts'
import { gitSource } from './git-sources.ts'
import { checkIndex, checkOption, checkRequirement } from './requirement-checks.ts'
import { type ParsedRequirement, parseRequirement } from './requirement-lines.ts'
import { isForOtherSystem, markerBehind } from './requirement-markers.ts'
import { isPath, type LocalSource, linksFolder, localSource, type TreePaths } from './requirement-sources.ts'
import { isOneLine } from './resolver-line.ts'

/** A line that asks for a package, or limits one. */
export interface Row extends Requirement {
  parsed: ParsedRequirement
  /** Where it names something of the code. */
  local?: LocalSource
  /** The repository that it names. */
  git?: string
}

/** Everything that requirements files say. */
export interface Contents {
  rows: Row[]
  /** Names of the options of whole lines. */
  options: Set<string>
  /**
   * The files as the resolver gets them, which reads them in another way than pip: only what was checked here, each line
   * where it was. Options for indexes are left out, paths begin at the root.
   */
  texts: EnvironmentFiles
  sources: LocalSources
  indexes: IndexWish
}

/** Where the resolver finds git repositories. */
const GIT_FOLDER = '.meadow-git'

/**
 * Reads the files of a spec, each line checked. A file that is only included by `-c` holds constraints.
 * @param there paths of files in the code tree; those that the spec has will do once it is loaded
 * @throws {EnvironmentFileError} naming file and line
 */
export function readContents(
  { path, files, local, folder }: Pick<InterpreterSpec, 'path' | 'files' | 'local' | 'folder'>,
  there: ReadonlySet<string> = new Set([...Object.keys(files), ...Object.keys(local ?? {})]),
): Contents {
  const reader = new Reader(files, { there, folder: folder ?? '' })
  for (const [file, { constraint }] of includedFiles(path, files)) reader.read(file, constraint)
  return reader.contents
}

class Reader {
  readonly contents: Contents = {
    rows: [],
    options: new Set(),
    texts: {},
    sources: { projects: [], files: [], git: [] },
    indexes: { extra: [], findLinks: [], none: false },
  }
  readonly #files: EnvironmentFiles
  readonly #tree: TreePaths

  constructor(files: EnvironmentFiles, tree: TreePaths) {
    this.#files = files
    this.#tree = tree
  }

  read(file: string, constraint: boolean): void {
    const text = this.#files[file] ?? ''
    const lines = text.split('\n').fill('')
    for (const { line, text: content } of requirementLines(text)) {
      const rewritten = this.#line({ file, line }, content, constraint)
      checkLine({ file, line }, rewritten)
      lines[line - 1] = rewritten
    }
    this.contents.texts[file] = lines.join('\n')
  }

  /** @returns the line as the resolver gets it */
  #line(place: Place, content: string, constraint: boolean): string {
    const option = lineOption(content)
    if (option === undefined) return this.#requirement(place, content, constraint, false)
    const { editable } = checkOption(place, option)
    if (editable) return this.#requirement(place, option.text.replace(/^(["'])(.*?)\1$/, '$2'), constraint, true)
    this.contents.options.add(option.name)
    return this.#option(place, option)
  }

  /** @returns what of it the resolver is told by its line */
  #option(place: Place, option: LineOption): string {
    const { name } = option
    const value = option.words[0] ?? ''
    const included = includedBy(place.file, option)
    if (included) {
      return `${included.constraint ? '-c' : '-r'} ${posix.relative(posix.dirname(place.file), included.path)}`
    }
    if (name === '--only-binary' || name === '--no-binary') {
      if (/^(?::\w+:|[A-Za-z0-9][\w.-]*)$/.test(value)) return `${name} ${value}`
      const said = `${name} ${value}: this is not the name of one package`
      throw new EnvironmentFileError(place.file, place.line, said, 'Write such a line for each package.')
    }
    if (name === '--require-hashes') return name
    this.#index(place, name, value)
    return ''
  }

  #index(place: Place, name: string, value: string): void {
    const { indexes } = this.contents
    if (name === '-i' || name === '--index-url') indexes.index = checkIndex(place, name, value)
    else if (name === '--extra-index-url') indexes.extra.push(checkIndex(place, name, value))
    else if (name === '--no-index') indexes.none = true
    else if (name === '-f' || name === '--find-links') {
      const folder = linksFolder(place, value, this.#tree)
      indexes.findLinks.push(folder)
      for (const each of this.#tree.there) {
        if (posix.dirname(each) === folder && ARCHIVE.test(each)) this.#addFile(each)
      }
    }
  }

  #requirement(place: Place, content: string, constraint: boolean, editable: boolean): string {
    const parsed = parseRequirement(content)
    const target = parsed.target ?? (editable ? content.split(/\s*(?:\[|;)/, 1)[0] : undefined)
    const row: Row = { name: parsed.name ?? '', text: parsed.text, ...place, parsed, ...(constraint && { constraint }) }
    if (editable) row.text = `-e ${parsed.text}`
    this.contents.rows.push(row)
    checkRequirement(place, parsed, target)
    const options = parsed.options.map(({ name, value }) => ` ${name}=${value}`).join('')
    const line = (from = '', to = '') => parsed.text.replace(from, () => to) + options
    if (target === undefined) return line()
    // As pip does, which looks at the marker before it looks for what is named.
    if (isForOtherSystem(markerBehind(parsed.text))) return ''
    const git = gitSource(place, target)
    if (git) {
      const { egg, ...source } = git
      const at = `${GIT_FOLDER}/${this.contents.sources.git.length}`
      this.contents.sources.git.push({ ...source, at })
      row.git = git.url
      row.name ||= normalizeName(egg?.replace(/\[.*/, '') ?? '')
      const folder = posix.join(at, git.subdirectory ?? '')
      return line(target, named(parsed.name ? '' : egg, parsed.name !== undefined, folder))
    }
    if (!isPath(target)) return line()
    const [, path = '', extras = ''] = /^(.*?)(\[[^\]]*\])?$/.exec(target) ?? []
    row.local = localSource(place, path, this.#tree)
    row.name ||= this.#nameOf(row.local)
    if (row.local.kind === 'file') this.#addFile(row.local.path)
    else this.#addProject(row.local.path, editable)
    return line(target, named(undefined, parsed.name !== undefined, row.local.path) + extras)
  }

  #addFile(path: string): void {
    const { files } = this.contents.sources
    if (!files.includes(path)) files.push(path)
  }

  #addProject(path: string, editable: boolean): void {
    const { projects } = this.contents.sources
    const known = projects.find((each) => each.path === path)
    if (known) known.editable ||= editable
    else projects.push({ path, editable })
  }

  /** What a wheel's name, or a project's description, says that it is called; empty where neither does. */
  #nameOf({ kind, path }: LocalSource): string {
    if (kind === 'file') return path.endsWith('.whl') ? normalizeName(posix.basename(path).split('-', 1)[0] ?? '') : ''
    const described =
      this.#files[posix.join(path, 'pyproject.toml')] ?? this.#files[posix.join(path, 'setup.cfg')] ?? ''
    return normalizeName(/^\s*name\s*=\s*["']?([\w.-]+)/m.exec(described)?.[1] ?? '')
  }
}

const ARCHIVE = /\.(?:whl|zip|tar\.gz|tgz|tar\.bz2|tar\.xz)$/

/** A path as a requirement: alone, behind a name that is there, or behind one that comes with it. */
function named(name: string | undefined, isNamed: boolean, path: string): string {
  const relative = `./${path.split('/').map(encodeURIComponent).join('/')}`
  if (name) return `${name} @ file:${relative}`
  return isNamed || relative !== `./${path}` ? `file:${relative}` : relative
}

/**
 * Makes sure that a line is one line to the resolver too.
 * @throws {EnvironmentFileError}
 */
function checkLine({ file, line }: Place, text: string): void {
  if (isOneLine(text)) return
  throw new EnvironmentFileError(
    file,
    line,
    'this line ends in a backslash that continues nothing, or holds a control character',
    'Take it out: what reads such files does not agree on where the line ends.',
  )
}

/** The files that are reached by `-r` and `-c`, the first one included. */
function includedFiles(path: string, files: EnvironmentFiles): Map<string, { constraint: boolean }> {
  const found = new Map<string, { constraint: boolean }>()
  const visit = (file: string, constraint: boolean) => {
    const known = found.get(file)
    if (known && (constraint || !known.constraint)) return
    found.set(file, { constraint })
    for (const { text } of requirementLines(files[file] ?? '')) {
      const option = lineOption(text)
      const included = option && includedBy(file, option)
      if (included) visit(included.path, constraint || included.constraint)
    }
  }
  visit(path, false)
  return found
}
