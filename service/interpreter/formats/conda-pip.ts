import { posix } from 'node:path'
import { EnvironmentFileError } from '../../../common/environment-file-error.ts'
import type { Requirement } from '../lock.ts'
import { ResolutionFailed } from '../resolution.ts'
import type { EnvironmentFiles, InterpreterSpec } from '../spec.ts'
import type { TextAt } from './conda-yaml.ts'
import type { CodeFiles, Place } from './format.ts'
import { readContents } from './requirement-contents.ts'
import { isForOtherSystem, markerBehind } from './requirement-markers.ts'
import { loadRequirements, localFiles, requirementsFormat } from './requirements.ts'

const SUFFIX = '.pip.txt'

/** What pip sees of an environment.yml: a file beside it, with its lines where they are in the YAML, or saying where. */
const pipFile = (file: string) => `${file}${SUFFIX}`

/** Conda runs pip in the folder of its file: relative paths begin there. */
const folderOf = (file: string) => posix.dirname(file).replace(/^\.$/, '')

/** The `pip:` section of an environment.yml, read as requirements files are. */
export const condaPip = {
  /**
   * It and all that it names.
   * @throws {EnvironmentFileError} in terms of the YAML
   */
  async load(code: CodeFiles, file: string, lines: TextAt[]): Promise<EnvironmentFiles> {
    if (lines.length === 0) return {}
    const path = pipFile(file)
    const section = asFile(lines)
    const withSection: CodeFiles = {
      paths: () => code.paths(),
      read: async (each) => (each === path ? Buffer.from(section) : await code.read(each)),
      hash: (each) => code.hash(each),
    }
    try {
      return await loadRequirements(withSection, { path, folder: folderOf(file) })
    } catch (error) {
      throw inYaml(error, { [path]: section })
    }
  },

  /** Wheels and source distributions of the code that it names: their sha256 in hex. */
  async local(code: CodeFiles, file: string, files: EnvironmentFiles): Promise<Record<string, string>> {
    const path = pipFile(file)
    return files[path] === undefined ? {} : await localFiles(code, { path, files, folder: folderOf(file) })
  },

  /** As an environment of its own, on top of what conda brings. */
  spec(spec: InterpreterSpec): InterpreterSpec {
    const { path: file } = spec
    const { [file]: _yaml, ...files } = spec.files
    return { ...spec, format: 'requirements.txt', path: pipFile(file), files, folder: folderOf(file) }
  },

  /** Where it speaks of a package, or a file that it includes. */
  locate(spec: InterpreterSpec, name: string): Place | undefined {
    if (spec.files[pipFile(spec.path)] === undefined) return undefined
    const place = requirementsFormat.locate(condaPip.spec(spec), name)
    return place && yamlPlace(place, spec.files)
  },
}

/** The lines that name a project, a file, a repository or a URL in place of a release, for this system. */
export function namedSources(pip: InterpreterSpec): Requirement[] {
  return readContents(pip)
    .rows.filter(({ parsed, constraint }) => parsed.target !== undefined && !constraint)
    .filter(({ parsed }) => !isForOtherSystem(markerBehind(parsed.text)))
    .map(({ name, text, file, line }) => ({ name, text, file, line }))
}

/** The YAML that a `pip:` section is of; another file as it is. */
export function yamlOf(file: string): string {
  return file.endsWith(SUFFIX) ? file.slice(0, -SUFFIX.length) : file
}

/** Where the YAML has a line of its `pip:` section; a line of another file as it is. */
export function yamlPlace({ file, line }: Place, files: EnvironmentFiles): Place {
  const row = file.endsWith(SUFFIX) ? files[file]?.split('\n')[line - 1] : undefined
  return { file: yamlOf(file), line: Number(ELSEWHERE.exec(row ?? '')?.[1] ?? line) }
}

/**
 * An error about a `pip:` section in terms of the YAML; any other as it is.
 * @param files that section among them
 * @param more what else to do about it
 */
export function inYaml(error: unknown, files: EnvironmentFiles, more?: string): unknown {
  if (!(error instanceof ResolutionFailed || error instanceof EnvironmentFileError)) return error
  const { file, line, hint } = error
  const place = line === undefined ? `${file}: ` : `${file}:${line}: `
  const said = error.message.slice(place.length).replaceAll(SUFFIX, '')
  const fix = more === undefined ? hint : `${hint} ${more}`
  const at = line === undefined ? undefined : yamlPlace({ file, line }, files).line
  const what = [yamlOf(file), at, yamlOf(file) === file ? said : `pip: ${said}`, fix] as const
  if (error instanceof ResolutionFailed) return new ResolutionFailed(...what, error.retryable)
  return new EnvironmentFileError(...what)
}

/** What a row ends in that can't be at its line, as where several texts share one. */
const ELSEWHERE = / # of line (\d+)$/

function asFile(lines: TextAt[]): string {
  const rows: string[] = []
  for (const { text, line } of lines) {
    while (rows.length < line - 1) rows.push('')
    rows.push(...(rows.length === line - 1 ? text : `${text} # of line ${line}`).split('\n'))
  }
  return `${rows.join('\n')}\n`
}
