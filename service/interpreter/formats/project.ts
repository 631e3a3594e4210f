import type { TomlTable } from 'smol-toml'
import { EnvironmentFileError } from '../../../common/environment-file-error.ts'
import { normalizeName } from '../../../common/package-name.ts'
import type { Requirement } from '../lock.ts'
import type { ResolverRefused } from '../resolution.ts'
import type { EnvironmentFiles } from '../spec.ts'
import type { Place } from './format.ts'
import { lineAt } from './lock-places.ts'
import { isTable, readToml, tableAt, texts } from './read-toml.ts'
import { parseRequirement } from './requirement-lines.ts'

/** A requirement that a pyproject.toml names, and for whom. */
export interface ProjectRequirement extends Requirement {
  /** The extra (`[project.optional-dependencies]`) that it is of. */
  extra?: string
  /** The group (`[dependency-groups]`) that it is of. */
  group?: string
}

/** What a pyproject.toml says of its project, as far as it matters here. */
export interface Project {
  file: string
  /** All of the file. */
  content: TomlTable
  /** `[project]`, where it has one. */
  name?: string
  requiresPython?: string
  /** Fields of `[project]` that only its build backend knows. */
  dynamic: string[]
  requirements: ProjectRequirement[]
  /** Whether the project is installed like a package, as uv sees it. */
  isPackage: boolean
}

/**
 * Reads a pyproject.toml.
 * https://packaging.python.org/en/latest/specifications/pyproject-toml/
 * https://packaging.python.org/en/latest/specifications/dependency-groups/
 * @throws {EnvironmentFileError} naming the line that is not TOML, or the field that is not as the standard has it
 */
export function readProject(file: string, text: string): Project {
  const content = readToml(file, text, 'Correct this line; the file must be TOML.')
  for (const keys of TABLES) checkTable(file, text, content, keys)
  const project = tableAt(content, 'project')
  for (const key of ['name', 'version', 'requires-python']) checkText(file, text, project, key)
  const { name, 'requires-python': requiresPython } = project
  const { package: asPackage } = tableAt(content, 'tool', 'uv')
  const isPackage = typeof asPackage === 'boolean' ? asPackage : 'build-system' in content
  const found: Project = { file, content, dynamic: texts(project.dynamic), requirements: [], isPackage }
  if (typeof name === 'string') found.name = normalizeName(name)
  if (typeof requiresPython === 'string') found.requiresPython = requiresPython
  const add = (list: unknown, field: string, more: object) => {
    for (const each of requirementList(file, text, field, list)) {
      if (typeof each === 'string') found.requirements.push({ ...requirement(file, text, each), ...more })
    }
  }
  add(project.dependencies, 'project.dependencies', {})
  for (const [extra, list] of Object.entries(tableAt(project, 'optional-dependencies')))
    add(list, `project.optional-dependencies.${extra}`, { extra: normalizeName(extra) })
  for (const [group, list] of Object.entries(tableAt(content, 'dependency-groups')))
    add(list, `dependency-groups.${group}`, { group: normalizeName(group) })
  requirementList(file, text, 'tool.uv.dev-dependencies', tableAt(content, 'tool', 'uv')['dev-dependencies'])
  return found
}

/** What is read here or by the resolver, and must be a table where it is there. */
const TABLES = [['project'], ['project', 'optional-dependencies'], ['dependency-groups'], ['tool'], ['tool', 'uv']]

/** @throws {EnvironmentFileError} */
function checkTable(file: string, text: string, content: TomlTable, keys: string[]): void {
  const value = tableAt(content, ...keys.slice(0, -1))[keys.at(-1) ?? '']
  if (value === undefined || isTable(value)) return
  const field = keys.join('.')
  const lists =
    field.endsWith('dependencies') || field.endsWith('groups') ? ', a list for each name: dev = ["name>=1"]' : ''
  const hint = `Write [${field}], and below it what it holds${lists}.`
  throw new EnvironmentFileError(file, lineOfKey(text, field), `${field} is not a table`, hint)
}

/** @throws {EnvironmentFileError} for a number, for one */
function checkText(file: string, text: string, project: TomlTable, key: string): void {
  const value = project[key]
  if (value === undefined || typeof value === 'string') return
  const field = `project.${key}`
  throw new EnvironmentFileError(
    file,
    lineOfKey(text, field),
    `${field} is no text`,
    `Write it in quotes: ${key} = "…".`,
  )
}

/** @throws {EnvironmentFileError} where it is no list of requirements; groups may hold `{include-group = "…"}` too */
function requirementList(file: string, text: string, field: string, list: unknown): unknown[] {
  const fits = (each: unknown) =>
    typeof each === 'string' ||
    (field.startsWith('dependency-groups') && typeof each === 'object' && each !== null && 'include-group' in each)
  if (list === undefined) return []
  if (Array.isArray(list) && list.every(fits)) return list
  throw new EnvironmentFileError(
    file,
    lineOfKey(text, field),
    `${field} is not a list of requirements`,
    'Write it as a list of strings: ["name>=1", "other"].',
  )
}

/** Where a field gets its value, by the last of its keys. */
function lineOfKey(text: string, field: string): number | undefined {
  const key = field.slice(field.lastIndexOf('.') + 1).replace(/[^\w-]/g, '.')
  return lineAt(text, new RegExp(`^[ \\t]*\\[*(?:[\\w-]+\\.)*"?${key}"?\\s*[=\\]]`, 'm').exec(text)?.index)
}

function requirement(file: string, text: string, written: string): Requirement {
  const { name = '', text: said } = parseRequirement(written)
  return { name, text: said, file, line: lineOfText(text, written) }
}

/** Where one of several projects asks for what is no requirement, as the resolver says it. */
export function placeOfRequirement(
  files: EnvironmentFiles,
  { message, package: written = '' }: ResolverRefused,
): Place | undefined {
  const file = Object.keys(files).find((each) => message.startsWith(`${each} asks for `))
  return file === undefined ? undefined : { file, line: lineOfText(files[file] ?? '', written) }
}

/** The line in which a string stands; the first where nothing can be found, as for one that is written with escapes. */
export function lineOfText(text: string, written: string): number {
  const index = [`"${written}"`, `'${written}'`].map((quoted) => text.indexOf(quoted)).find((at) => at >= 0)
  return lineAt(text, index) ?? 1
}
