import { posix } from 'node:path'
import type { TomlTable, TomlValue } from 'smol-toml'
import { EnvironmentFileError } from '../../../common/environment-file-error.ts'
import { environmentText } from '../../../common/environment-text.ts'
import { normalizeName } from '../../../common/package-name.ts'
import { allowsRelease } from '../../policy/python-range.ts'
import type { EnvironmentFiles, InterpreterSpec } from '../spec.ts'
import type { CodeFiles } from './format.ts'
import { type ProjectRequirement, readProject } from './project.ts'
import { isTable, readToml } from './read-toml.ts'
import { parseRequirement } from './requirement-lines.ts'

/**
 * Whether a pylock.toml is older than the pyproject.toml beside it. It says nothing of what it was made from, which may
 * be something else: so what does not go together is no fault, it is said.
 */

/** What makes the lock of a project anew, by what locks name as their maker. */
const MAKERS: Record<string, string> = {
  uv: 'uv export --format pylock.toml --output-file',
  pip: 'pip lock --editable . --output',
  pdm: 'pdm export --format pylock --output',
}

/** The project that a lock is probably of; nothing where there is none, or none that can be read. */
export async function projectBeside(code: CodeFiles, lock: string): Promise<EnvironmentFiles> {
  const path = posix.join(posix.dirname(lock), 'pyproject.toml')
  // A lock with a name of its own is of something of its own.
  const bytes = posix.basename(lock) === 'pylock.toml' ? await code.read(path) : undefined
  if (bytes === undefined) return {}
  try {
    const text = environmentText(path, bytes)
    return readProject(path, text).name === undefined ? {} : { [path]: text }
  } catch (error) {
    if (error instanceof EnvironmentFileError) return {}
    throw error
  }
}

/** What the project asks for and the lock has not, in one sentence. */
export function olderNotes({ path, files }: InterpreterSpec): string[] {
  const beside = Object.entries(files).find(([file]) => file !== path)
  const lock = beside && readable(path, files[path] ?? '')
  if (beside === undefined || lock === undefined) return []
  const packages = (Array.isArray(lock.packages) ? lock.packages : []).filter(isTable)
  const versions = new Map(packages.map(({ name, version }) => [normalizeName(`${name}`), version]))
  const project = readProject(...beside)
  const missing = project.requirements.filter((row) => row.name !== project.name && !fits(row, versions))
  if (missing.length === 0) return []
  const said = missing.map(({ name, text, file, line }) => {
    return `${text} of ${file}:${line} (${versions.has(name) ? `it has ${versions.get(name)}` : 'it has none'})`
  })
  const maker = `${lock['created-by']}`
  const command = MAKERS[maker]
  const fix = command ? `run "${command} ${posix.basename(path)}" and commit it` : `make it anew with ${maker}`
  return [`${path} does not have what is asked for: ${said.join(', ')}. If it is older than that, ${fix}.`]
}

/** What is wrong with a lock that is no TOML says whoever reads it for good. */
function readable(path: string, text: string): TomlTable | undefined {
  try {
    return readToml(path, text, '')
  } catch (error) {
    if (error instanceof EnvironmentFileError) return undefined
    throw error
  }
}

/** Of extras, groups and markers nobody knows whether the lock was made with them; folders have no version in it. */
function fits({ name, text, extra, group }: ProjectRequirement, versions: Map<string, TomlValue | undefined>): boolean {
  if (extra !== undefined || group !== undefined || text.includes(';')) return true
  const version = versions.get(name)
  return version === undefined ? versions.has(name) : allowsRelease(parseRequirement(text).specifier, `${version}`)
}
