import { normalizeName } from '../../../common/package-name.ts'
import type { Requirement } from '../lock.ts'
import { isTable, readToml, tableAt } from './read-toml.ts'

/**
 * What a project of poetry asks for by name, in all of its groups, with lines.
 * @param text of a pyproject.toml that is well formed
 */
export function poetryRequirements(file: string, text: string): Requirement[] {
  const content = readToml(file, text, '')
  const poetry = tableAt(content, 'tool', 'poetry')
  const tables = [
    tableAt(poetry, 'dependencies'),
    tableAt(poetry, 'dev-dependencies'),
    ...Object.values(tableAt(poetry, 'group')).map((group) => (isTable(group) ? tableAt(group, 'dependencies') : {})),
  ]
  const written = tables.flatMap((table) =>
    Object.entries(table).flatMap(([name, wish]) => {
      const line = name === 'python' ? undefined : lineOfName(text, name)
      return line === undefined ? [] : [{ name, text: `${name} ${shown(wish)}`, line }]
    }),
  )
  const project = tableAt(content, 'project')
  const lists = [
    project.dependencies,
    ...values(project['optional-dependencies']),
    ...values(content['dependency-groups']),
  ]
  const strings = lists.flatMap((list) => (Array.isArray(list) ? list.filter((one) => typeof one === 'string') : []))
  const standard = strings.flatMap((one) => {
    const name = /^\s*([A-Za-z0-9][A-Za-z0-9._-]*)/.exec(one)?.[1]
    const index = Math.max(text.indexOf(JSON.stringify(one)), text.indexOf(`'${one}'`))
    return name === undefined || index < 0 ? [] : [{ name, text: one, line: lineAt(text, index) }]
  })
  return [...standard, ...written].map((row) => ({ ...row, name: normalizeName(row.name), file }))
}

/** The first line that gives a value to one of these keys. */
export function lineOfName(text: string, ...keys: string[]): number | undefined {
  const lines = text.split('\n')
  const written = lines.map((line) => /^\s*(?:"([^"]+)"|'([^']+)'|([\w.-]+))\s*=/.exec(line)?.slice(1).find(Boolean))
  const index = written.findIndex((key) => key !== undefined && keys.includes(key))
  if (index >= 0) return index + 1
  // A table of its own: [tool.poetry.dependencies.NAME]
  const table = lines.findIndex((line) => keys.some((key) => line.trimEnd().endsWith(`.dependencies.${key}]`)))
  return table < 0 ? undefined : table + 1
}

/** The line of a poetry.lock that names a package, by its normalised name. */
export function lineOfPackage(text: string, name: string): number | undefined {
  for (const match of text.matchAll(/^name = "([^"]+)"/gm)) {
    if (normalizeName(match[1] ?? '') === name) return lineAt(text, match.index)
  }
  return undefined
}

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split('\n').length
}

function values(table: unknown): unknown[] {
  return isTable(table) ? Object.values(table) : []
}

function shown(wish: unknown): string {
  if (typeof wish === 'string') return wish
  if (isTable(wish) && Object.keys(wish).join() === 'version') return String(wish.version)
  return JSON.stringify(wish)
}
