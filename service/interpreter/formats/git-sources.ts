import { posix } from 'node:path'
import type { TomlTable } from 'smol-toml'
import { EnvironmentFileError } from '../../../common/environment-file-error.ts'
import { withoutCredentials } from '../../../common/without-credentials.ts'
import type { Repository } from '../resolution.ts'
import type { Place } from './format.ts'

/**
 * Takes `git+https://host/owner/name@ref#egg=name&subdirectory=folder` apart.
 * @returns undefined where it is no git URL
 * @throws {EnvironmentFileError} for another way to reach git than https: (or file:, for local work)
 */
export function gitSource(place: Place, target: string): (Repository & { egg?: string }) | undefined {
  if (!/^git\+/i.test(target)) return undefined
  const fail = (why: string, hint: string) => new EnvironmentFileError(place.file, place.line, `${why}`, hint)
  const [base = '', fragment = ''] = target.slice(4).split('#', 2)
  const shown = withoutCredentials(base)
  const parts = /^((?:https?|file):\/\/[^/]*\/.*?)(?:@([^@/][^@]*))?$/i.exec(base)
  if (!parts?.[1]) {
    throw fail(
      `git+${shown}: only git+https: is supported, without credentials`,
      'Write it like name @ git+https://host/owner/name@tag; credentials come in a later version.',
    )
  }
  if (/^\w+:\/\/[^/]*@/.test(parts[1])) {
    throw fail(
      `git+${shown}: its URL holds a user name or password`,
      'Take it out; credentials come in a later version.',
    )
  }
  const options = new URLSearchParams(fragment)
  const subdirectory = posix.normalize(options.get('subdirectory') || '.').replace(/\/+$/, '')
  if (/^(?:\/|\.\.)/.test(subdirectory)) throw fail(`subdirectory=${subdirectory} leads outside`, 'Correct it.')
  if (/\p{Cc}/u.test(subdirectory)) throw fail(`subdirectory=${encodeURI(subdirectory)} is no path`, 'Correct it.')
  const egg = options.get('egg') ?? undefined
  if (egg && !/^[A-Za-z0-9][\w.-]*(?:\[[\w.,-]*\])?$/.test(egg)) throw fail(`egg=${egg} is no name`, 'Correct it.')
  return {
    url: parts[1],
    ...(parts[2] && { ref: parts[2] }),
    ...(subdirectory !== '.' && { subdirectory }),
    ...(egg && { egg }),
  }
}

/**
 * The repository of an entry of `[tool.uv.sources]`.
 * https://docs.astral.sh/uv/concepts/projects/dependencies/#git
 * @returns undefined where it names none
 * @throws {EnvironmentFileError}
 */
export function gitEntry(place: Place, entry: TomlTable): Repository | undefined {
  const { git, rev, tag, branch, subdirectory } = entry
  if (typeof git !== 'string') return undefined
  const ref = rev ?? tag ?? (branch === undefined ? undefined : `refs/heads/${branch}`)
  const fragment = subdirectory === undefined ? '' : `#subdirectory=${subdirectory}`
  return gitSource(place, `git+${git}${ref === undefined ? '' : `@${ref}`}${fragment}`)
}

/** A requirement that names a repository: `name[extra] @ git+https://… ; marker`. */
export interface GitRequirement {
  name: string
  /** Without the repository. */
  plain: string
  marker?: string
  repository: Repository
}

/**
 * @returns undefined where it names none
 * @throws {EnvironmentFileError}
 */
export function gitRequirement(place: Place, text: string): GitRequirement | undefined {
  const [, name = '', extras = '', target = '', marker] =
    /^\s*([A-Za-z0-9][\w.-]*)\s*(\[[^\]]*\])?\s*@\s*(git\+\S+)(?:\s+;\s*(.*))?$/.exec(text) ?? []
  const repository = target === '' ? undefined : gitSource(place, target)
  if (repository === undefined) return undefined
  const plain = `${name}${extras}${marker ? ` ; ${marker}` : ''}`
  return { name, plain, repository, ...(marker && { marker }) }
}
