import { posix } from 'node:path'
import type { TomlTable, TomlValue } from 'smol-toml'
import { normalizeName } from '../../../common/package-name.ts'
import type { UvSettings } from '../resolution.ts'
import { lineOfText, type Project } from './project.ts'
import { isTable, tableAt, texts } from './read-toml.ts'
import { checkIndex } from './requirement-checks.ts'
import { insideTree } from './uv-sources.ts'

/** Settings of uv that say what is resolved. https://docs.astral.sh/uv/reference/settings/ */
const HONOURED = [
  ...['constraint-dependencies', 'override-dependencies', 'exclude-dependencies', 'build-constraint-dependencies'],
  ...['dependency-metadata', 'prerelease', 'resolution', 'exclude-newer', 'exclude-newer-package'],
  ...['no-build-package', 'no-binary-package', 'no-index'],
]
const IS_URL = /^[a-z][a-z0-9+.-]*:/i

/** An index of a project. */
interface Index {
  table: TomlTable
  /** As it is written. */
  url: string
  /** Of the project's file. */
  text: string
  project: Project
}

/**
 * What projects say to uv of how they are resolved.
 * @param root the one whose settings count, with its text
 * @param members all whose packages may come from indexes of their own, `root` among them
 * @throws {EnvironmentFileError} for an index with credentials, or outside of the code
 */
export function uvSettings(root: Project, members: Project[], files: Record<string, string>): UvSettings {
  const uv = tableAt(root.content, 'tool', 'uv')
  const textOf = ({ file }: Project) => files[file] ?? ''
  const all = members.flatMap((project) => indexesOf(project, textOf(project)))
  const honoured = Object.entries(uv).filter(([key]) => HONOURED.includes(key))
  const links = texts(uv['find-links']).map((url) => located({ table: {}, url, text: textOf(root), project: root }))
  const index = all.filter(({ project }) => project === root).map((each) => ({ ...each.table, url: located(each) }))
  const settings: TomlTable = {
    ...Object.fromEntries(honoured),
    ...(index.length > 0 && { index }),
    ...(links.length > 0 && { 'find-links': links }),
  }
  const urls = [...all.map(located), ...links].filter((url) => IS_URL.test(url))
  return { settings, indexes: [...new Set(urls)], pinned: pinnedIn(members, root, all) }
}

/** The folders of the code that are indexes, or that `find-links` names. */
export function localIndexes(root: Project, members: Project[]): string[] {
  const links = texts(tableAt(root.content, 'tool', 'uv')['find-links']).map((url) => ({ url, project: root }))
  return [...members.flatMap((project) => indexesOf(project, '')), ...links].flatMap(({ url, project }) =>
    IS_URL.test(url) ? [] : posix.join(posix.dirname(project.file), url),
  )
}

/** In the order of their priority, the default one among them. */
function indexesOf(project: Project, text: string): Index[] {
  const { index, 'index-url': main, 'extra-index-url': extra } = tableAt(project.content, 'tool', 'uv')
  const tables = [
    ...texts(extra).map((url): TomlTable => ({ url })),
    ...(Array.isArray(index) ? (index as TomlValue[]).filter(isTable) : []),
    ...(typeof main === 'string' ? [{ url: main, default: true }] : []),
  ]
  return tables.flatMap((table) => (typeof table.url === 'string' ? { table, url: table.url, text, project } : []))
}

/** The URL of an index, checked; a folder as a path from the root of the code. */
function located({ table, url, text, project: { file } }: Index): string {
  const place = { file, line: lineOfText(text, url) }
  if (IS_URL.test(url)) return checkIndex(place, `index ${table.name ?? ''}`.trim(), url)
  return `./${insideTree(file, place.line, url)}`
}

/** Which packages come from one index alone: `name = { index = "…" }`. */
function pinnedIn(members: Project[], root: Project, all: Index[]): Record<string, string> {
  const found: Record<string, string> = {}
  for (const project of members) {
    const named = (name: unknown, of: Project) => all.find((each) => each.project === of && each.table.name === name)
    for (const [name, source] of Object.entries(tableAt(project.content, 'tool', 'uv', 'sources'))) {
      for (const { index } of [source].flat().filter(isTable)) {
        const from = index === undefined ? undefined : (named(index, project) ?? named(index, root))
        if (from && IS_URL.test(from.url)) found[normalizeName(name)] = from.url
      }
    }
  }
  return found
}
