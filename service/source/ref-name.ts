import { RemoteError } from './remote.ts'

/** What git allows in a ref's name, without what it would expand. `git help check-ref-format` */
const FORBIDDEN = /^[-/.]|[\0- ~^:?*[\\\x7f]|\.\.|@\{|\/\/|\/\.|\.lock(?:\/|$)|[/.]$|^@$/

/**
 * The whole names that a branch or tag may have, in the order in which git itself looks: tags before branches. Refs of
 * other kinds (a pull request's) are not for everybody to name: what lies there is not the repository's own.
 * @throws {RemoteError} for what is no name of a branch or tag
 */
export function refCandidates(ref: string): string[] {
  if (ref === 'HEAD') return ['HEAD']
  if (FORBIDDEN.test(ref)) {
    throw new RemoteError('ref-malformed', `ref: ${JSON.stringify(ref)} is no name of a branch or tag`, 'Correct it.')
  }
  if (/^refs\/(heads|tags)\//.test(ref)) return [ref]
  if (ref.startsWith('refs/')) {
    const message = `ref: ${JSON.stringify(ref)} is neither a branch nor a tag`
    throw new RemoteError('ref-malformed', message, 'Name a branch, a tag, or all 40 digits of a commit.')
  }
  return [`refs/tags/${ref}`, `refs/heads/${ref}`]
}
