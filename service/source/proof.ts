import { commitDomain, type Domain, isTrusted, pullRequestDomain, repositoryOf } from '../policy/domain.ts'
import type { Checkouts, RepositoryRef } from './checkout.ts'

/** A commit that nobody vouches for. */
export class CodeNotProven extends Error {
  override name = 'CodeNotProven'
  readonly code = 'code-not-proven'
  readonly hint: string
  constructor(commit: string, repository: string, pullRequest: number | undefined) {
    const places = pullRequest === undefined ? 'a branch or tag' : `a branch, a tag or pull request ${pullRequest}`
    super(`commit: ${commit} is not in ${places} of ${repository}`)
    this.hint = `Push it to a branch of ${repository}, or name the pull request that it belongs to ("pull-request").`
  }
}

/** The caller may not have this code. */
export class WrongDomain extends Error {
  override name = 'WrongDomain'
  readonly code = 'wrong-domain'
  readonly hint = 'Ask with a token of the repository, or of the pull request, that the code belongs to.'
}

/** A commit, and what the caller says of it. */
export interface Claim {
  repository: RepositoryRef
  /** 40 hex digits. */
  commit: string
  pullRequest?: number | undefined
}

/** Where proof is looked for. */
export interface Evidence {
  checkouts: Checkouts
  /** Whether a signed push of the repository named the commit. */
  wasPushed(repository: string, commit: string): Promise<boolean>
}

/**
 * The domain of a commit's code: the repository's own only if a signed push named it, or it lies in the history of a
 * branch or tag. Hosts hand out a fork's commits under the base's name, so that being able to fetch it proves nothing.
 * @returns undefined where nothing vouches for it
 * @throws {RemoteError} where the host has to be asked and does not answer
 */
export async function provenDomain(
  { checkouts, wasPushed }: Evidence,
  claim: Claim,
  signal: AbortSignal,
): Promise<Domain | undefined> {
  const { repository, commit, pullRequest } = claim
  if (await wasPushed(repository.id, commit)) return repository.id
  const refs = await checkouts.refs(repository, pullRequest, signal)
  for (const [ref, id] of refs) if (id === commit && OWN.test(ref)) return repository.id

  const pull = { head: `refs/pull/${pullRequest}/head`, merge: `refs/pull/${pullRequest}/merge` }
  const pullRefs = [pull.head, pull.merge].filter((ref) => refs.has(ref))
  const history = await checkouts.history(repository, pullRefs, signal)
  const own = async (id: string) =>
    (await wasPushed(repository.id, id)) || (await history.holds(id, ['refs/heads', 'refs/tags'], signal))
  if (await own(commit)) return repository.id
  if (pullRequest === undefined || !(await history.holds(commit, pullRefs, signal))) return undefined

  // A pull request between two branches of the repository: the host merged what is all the repository's own. Asked of
  // this very commit's parents, not of the head, which may have moved since.
  if (commit === (await history.resolve(pull.merge, signal))) {
    const parents = await history.parents(commit, signal)
    if (parents.length > 1 && (await Promise.all(parents.map(own))).every(Boolean)) return repository.id
  }
  return pullRequestDomain(repository.id, pullRequest)
}

/** Refs that only those can move who may write to the repository. */
const OWN = /^refs\/(heads|tags)\//

/** The domain of code that nothing vouches for but its own object ids. */
export function unprovenDomain({ repository, commit }: Claim): Domain {
  return commitDomain(repository.id, commit)
}

/**
 * The narrower of the code's and the caller's domain.
 * @throws {WrongDomain} where neither lies in the other
 */
export function narrower(code: Domain, caller: Domain): Domain {
  if (code === caller || (isTrusted(caller) && repositoryOf(code) === caller)) return code
  if (isTrusted(code) && repositoryOf(caller) === code) return caller
  throw new WrongDomain(`the code belongs to ${code}, the caller to ${caller}`)
}
