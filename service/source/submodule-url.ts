import { HintedError } from '../../common/hinted-error.ts'
import { withoutCredentials } from '../../common/without-credentials.ts'
import { hostIsPrivate } from '../policy/addresses.ts'

/** A submodule that can't be had. The message names it by its path. */
export class SubmoduleRefused extends HintedError {
  override name = 'SubmoduleRefused'
  constructor(path: string, why: string, hint: string) {
    super(`submodule ${path}: ${why}`, hint)
  }
}

/** `git@host:owner/name` and `ssh://git@host/owner/name` */
const SCP_LIKE = /^(?:[\w.-]+@)?([\w.-]+):(?![/\\])(.+)$/
const SSH = /^(?:ssh|git):\/\/(?:[\w.-]+@)?([\w.-]+)(?::\d+)?\/(.+)$/

/**
 * Where a submodule is fetched from: `https:` addresses without credentials, and what lies below the configured base of
 * clone URLs. Addresses for ssh of the configured host mean the same repositories there; there are no keys here.
 * @param written as `.gitmodules` says it; relative ones are resolved against `parent`
 * @param parent the URL that the containing repository was fetched from
 * @param base `MEADOW_GIT_URL`
 * @throws {SubmoduleRefused}
 */
export function submoduleUrl(path: string, written: string, parent: string, base: URL): URL {
  const refuse = (why: string, hint = 'Give it an https: URL in .gitmodules.'): never => {
    throw new SubmoduleRefused(path, `${JSON.stringify(withoutCredentials(written))} ${why}`, hint)
  }
  const relative = /^\.\.?\//.test(written)
  const url = (relative ? URL.parse(written, `${parent}/`) : URL.parse(atBase(written, base) ?? written)) ?? undefined
  if (url === undefined) return refuse('is no URL')
  if (url.username || url.password) refuse('holds a user name or password', 'Take it out of .gitmodules.')
  if (url.search || url.hash) refuse('has a query or a fragment')
  // What is escaped may mean another path to git, or to the host.
  if (url.pathname.includes('%') || url.pathname === '/') refuse('is no address of a repository')
  if (url.protocol === base.protocol && url.host === base.host) {
    if (url.pathname.startsWith(`${base.pathname.replace(/\/+$/, '')}/`)) return url
    refuse('lies outside of what the service fetches from (MEADOW_GIT_URL)')
  }
  if (url.protocol !== 'https:') refuse('is not an https: URL')
  if (hostIsPrivate(url.hostname)) refuse('leads to a private address')
  return url
}

function atBase(written: string, base: URL): string | undefined {
  const [, host, path = ''] = SSH.exec(written) ?? (written.includes('://') ? [] : (SCP_LIKE.exec(written) ?? []))
  if (host === undefined || host.toLowerCase() !== base.hostname) return undefined
  return `${base.href.replace(/\/+$/, '')}/${path.replace(/^\/+/, '')}`
}
