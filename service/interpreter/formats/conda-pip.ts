import { posix } from 'node:path'
import { EnvironmentFileError } from '../../../common/environment-file-error.ts'
import type { Requirement } from '../lock.ts'
import { ResolutionFailed } from '../resolution.ts'
import type { EnvironmentFiles, InterpreterSpec } from '../spec.ts'
import type { TextAt } from './conda-yaml.ts'
import type { CodeFiles, Place } from './format.ts'
import { readContents } from './requirement-contents.ts'
import { loadRequirements, localFiles, requirementsFormat } from './requirements.ts'

const SUFFIX = '.pip.txt'

/** What pip sees of an environment.yml: a file beside it, with its lines where they are in the YAML. */
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
    const section = Buffer.from(asFile(lines))
    const withSection: CodeFiles = {
      paths: () => code.paths(),
      read: async (each) => (each === path ? section : await code.read(each)),
      hash: (each) => code.hash(each),
    }
    try {
      return await loadRequirements(withSection, { path, folder: folderOf(file) })
    } catch (error) {
      throw inYaml(error)
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
    return place && { ...place, file: yamlOf(place.file) }
  },
}

/** The lines that name a project, a file, a repository or a URL in place of a release. */
export function namedSources(pip: InterpreterSpec): Requirement[] {
  return readContents(pip)
    .rows.filter(({ parsed, constraint }) => parsed.target !== undefined && !constraint)
    .map(({ name, text, file, line }) => ({ name, text, file, line }))
}

/** The YAML that a `pip:` section is of; another file as it is. */
export function yamlOf(file: string): string {
  return file.endsWith(SUFFIX) ? file.slice(0, -SUFFIX.length) : file
}

/**
 * An error about a `pip:` section in terms of the YAML, which has its lines; any other as it is.
 * @param more what else to do about it
 */
export function inYaml(error: unknown, more?: string): unknown {
  if (!(error instanceof ResolutionFailed || error instanceof EnvironmentFileError)) return error
  const { file, line, hint } = error
  const place = line === undefined ? `${file}: ` : `${file}:${line}: `
  const said = error.message.slice(place.length).replaceAll(SUFFIX, '')
  const fix = more === undefined ? hint : `${hint} ${more}`
  const what = [yamlOf(file), line, yamlOf(file) === file ? said : `pip: ${said}`, fix] as const
  if (error instanceof ResolutionFailed) return new ResolutionFailed(...what, error.retryable)
  return new EnvironmentFileError(...what)
}

function asFile(lines: TextAt[]): string {
  const rows: string[] = []
  for (const { text, line } of lines) {
    while (rows.length < line - 1) rows.push('')
    rows.push(text)
  }
  return `${rows.join('\n')}\n`
}
