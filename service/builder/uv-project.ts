import { posix } from 'node:path'
import { stringify, type TomlTable, type TomlValue } from 'smol-toml'
import { normalizeName } from '../../common/package-name.ts'
import { gitEntry, gitRequirement } from '../interpreter/formats/git-sources.ts'
import { readProject } from '../interpreter/formats/project.ts'
import { isTable, readToml, tableAt } from '../interpreter/formats/read-toml.ts'
import { isForOtherSystem } from '../interpreter/formats/requirement-markers.ts'
import type { Repository } from '../interpreter/resolution.ts'
import type { EnvironmentFiles } from '../interpreter/spec.ts'

/** A file that describes a project to uv. */
export const IS_PROJECT = /(?:^|\/)pyproject\.toml$/
const IS_SETTINGS = /(?:^|\/)(?:pyproject|uv)\.toml$/
const HINT = 'Correct this line; the file must be TOML.'

/**
 * The pyproject.toml and uv.toml files as they read, for a program whose own reader knows less of TOML than uv does.
 * @param counts whether a file matters; the others may be anything
 * @throws {EnvironmentFileError} where one that counts is not well formed
 */
export function tablesOf(
  files: EnvironmentFiles,
  counts: (path: string) => boolean = () => true,
): Record<string, TomlTable> {
  const read = Object.entries(files).filter(([path]) => IS_SETTINGS.test(path) && counts(path))
  return Object.fromEntries(read.map(([path, text]) => [path, readToml(path, text, HINT)]))
}

/** Gives the folder that the resolver finds a package of a repository in, from the root of all files. */
export type PlaceOf = (repository: Repository) => Promise<string>

/**
 * A pyproject.toml for a resolver that has no git: what comes from a repository, as `[tool.uv.sources]` or the
 * requirement itself says it, comes from a folder. Markers, groups and extras stay as they are. Folders that are indexes
 * are named from the root of all files, where uv is run.
 * @returns undefined where it can stay as it is
 * @throws {EnvironmentFileError} for a repository that can't be had
 */
export async function withFolders(file: string, text: string, placeOf: PlaceOf): Promise<string | undefined> {
  const content = readToml(file, text, HINT)
  const place = { file, line: 1 }
  const folder = async (repository: Repository) => posix.relative(posix.dirname(file), await placeOf(repository))
  const sources = tableAt(content, 'tool', 'uv', 'sources')
  let found = localIndexes(file, content)
  for (const entry of Object.values(sources).flat().filter(isTable)) {
    const repository = gitEntry(place, entry)
    if (repository === undefined) continue
    found = true
    for (const key of ['git', 'rev', 'tag', 'branch', 'subdirectory']) delete entry[key]
    entry.path = await folder(repository)
  }
  for (const list of requirementLists(content)) {
    for (const [index, written] of list.entries()) {
      const asked = typeof written === 'string' ? gitRequirement(place, written) : undefined
      if (asked === undefined || isForOtherSystem(asked.marker ?? '')) continue
      found = true
      list[index] = asked.plain
      const { name, marker, repository } = asked
      const entry = { path: await folder(repository), ...(marker && { marker }) }
      sources[name] = added(sources[name], entry)
    }
  }
  if (!found) return undefined
  const { tool, ...rest } = content
  const uv = { ...tableAt(content, 'tool', 'uv'), sources }
  return stringify({ ...rest, tool: { ...(isTable(tool) && tool), uv } })
}

/**
 * The pyproject.toml files of a tree that count for one project: its own, and those of what its sources name there.
 * @param files texts by path; those that do not count may be anything
 * @throws {EnvironmentFileError} where one that counts is not well formed
 */
export function reachedFrom(own: string, files: EnvironmentFiles): string[] {
  const found = new Set<string>()
  const visit = (path: string) => {
    const text = files[path]
    if (text === undefined || found.has(path)) return
    found.add(path)
    for (const [name, entries] of Object.entries(tableAt(readProject(path, text).content, 'tool', 'uv', 'sources'))) {
      for (const entry of [entries].flat().filter(isTable)) {
        if (typeof entry.path === 'string') visit(posix.join(posix.dirname(path), entry.path, 'pyproject.toml'))
        if (entry.workspace === true) for (const member of named(name, files)) visit(member)
      }
    }
  }
  visit(own)
  return [...found]
}

/** The projects that say that they are called so. */
function named(name: string, files: EnvironmentFiles): string[] {
  const wanted = normalizeName(name)
  return Object.entries(files).flatMap(([path, text]) => {
    const names = [...text.matchAll(/^\s*name\s*=\s*["']([\w.-]+)["']/gm)].map((match) => normalizeName(match[1] ?? ''))
    return IS_PROJECT.test(path) && names.includes(wanted) ? path : []
  })
}

function localIndexes(file: string, content: TomlTable): boolean {
  const { index } = tableAt(content, 'tool', 'uv')
  const local = (Array.isArray(index) ? index : [])
    .filter(isTable)
    .filter(({ url }) => !/^[a-z][\w+.-]*:/i.test(`${url}`))
  for (const one of local) one.url = `./${posix.join(posix.dirname(file), `${one.url}`)}`
  return local.length > 0
}

/** A second repository of one package is for another marker; the same again is none. */
function added(there: TomlValue | undefined, entry: TomlTable): TomlValue {
  if (there === undefined) return entry
  const entries = [there].flat().filter(isTable)
  return entries.some(({ path }) => path === entry.path) ? there : [...entries, entry]
}

function requirementLists(content: TomlTable): TomlValue[][] {
  const project = tableAt(content, 'project')
  const lists = [
    project.dependencies,
    ...Object.values(tableAt(project, 'optional-dependencies')),
    ...Object.values(tableAt(content, 'dependency-groups')),
  ]
  return lists.filter((list) => Array.isArray(list))
}
