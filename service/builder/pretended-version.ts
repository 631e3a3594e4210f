/** What backends that ask git for a version are told while a lock is made: there is no git where they run. */
export const RESOLVED_VERSION = '0.0.0'

/**
 * What they are told when a project is built: the same as far as requirements go (PEP 440, local version identifiers).
 * @param commit 40 hex digits; absent for mirrored code, whose version stays what it is, so that the next one is a hit
 */
export function builtVersion(commit: string | undefined): string {
  return `${RESOLVED_VERSION}+${commit === undefined ? 'mirrored' : `g${commit.slice(0, 12)}`}`
}
