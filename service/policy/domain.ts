/**
 * A trust domain: a repository (`rep_…`), or below it a pull request from a fork (`rep_…/pull/5`) or a commit that
 * nothing vouches for (`rep_…/commit/<sha>`). Bytes made in a domain are read there and below, never above.
 */
export type Domain = string & { readonly brand?: 'domain' }

/** The domain of what comes without credentials from a public index, and of what an operator's base alone decides. */
export const GLOBAL: Domain = 'global'

/** The domain of a pull request from a fork of a repository. */
export function pullRequestDomain(repository: string, number: number): Domain {
  return `${repository}/pull/${number}`
}

/** The domain of a commit that is in no branch, tag or pull request of a repository. */
export function commitDomain(repository: string, commit: string): Domain {
  return `${repository}/commit/${commit}`
}

/** The repository that a domain belongs to. */
export function repositoryOf(domain: Domain): string {
  return domain.split('/', 1)[0] as string
}

/** Whether code in this domain is the repository's own. */
export function isTrusted(domain: Domain): boolean {
  return !domain.includes('/')
}

/** Where to look for what is known already, nearest first. */
export function readable(domain: Domain): Domain[] {
  return isTrusted(domain) ? [domain] : [domain, repositoryOf(domain)]
}
