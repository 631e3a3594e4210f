import type { TomlTable } from 'smol-toml'
import { EnvironmentFileError } from '../../../common/environment-file-error.ts'
import { normalizeName } from '../../../common/package-name.ts'
import { lineOfPackage } from './poetry-project.ts'
import { isTable } from './read-toml.ts'

/**
 * Checks where the packages of a poetry.lock come from, as far as that goes without asking anybody.
 * @throws {EnvironmentFileError} for addresses with credentials in them, or that are of no use without
 */
export function checkSources(path: string, text: string, lock: TomlTable): void {
  for (const { name, type, url } of sourcesOf(lock)) {
    if (type !== 'directory' && type !== 'file') checkUrl(path, text, name, url)
  }
}

/** The indexes that packages of a poetry.lock come from, but for poetry's own. */
export function indexesOf(lock: TomlTable): string[] {
  const urls = sourcesOf(lock).flatMap(({ type, url }) => (type === 'legacy' && URL.canParse(url) ? url : []))
  return [...new Set(urls)]
}

function sourcesOf(lock: TomlTable): { name: string; type: unknown; url: string }[] {
  const packages = Array.isArray(lock.package) ? lock.package : []
  return packages.flatMap((one) => {
    const source = isTable(one) && isTable(one.source) ? one.source : undefined
    if (!isTable(one) || typeof source?.url !== 'string') return []
    return { name: String(one.name), type: source.type, url: source.url }
  })
}

function checkUrl(path: string, text: string, name: string, url: string): void {
  const fail = (message: string, hint: string): never => {
    throw new EnvironmentFileError(path, lineOfPackage(text, normalizeName(name)), `${name}: ${message}`, hint)
  }
  // git@host:owner/name, as ssh takes it, is no URL.
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (parsed === undefined || parsed.protocol === 'ssh:') {
    fail(`${url} needs a key, and there are no credentials`, 'Depend on it by an https: URL that everybody can read.')
  }
  if (parsed?.username || parsed?.password) {
    fail('its URL holds a user name or password', 'Take it out; credentials do not belong into a lock file.')
  }
}
