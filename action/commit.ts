import type { Checkout } from '../client/deployment/checkout.ts'
import type { WorkflowRun } from './event.ts'

/** The commit to run, and the pull request that it belongs to. */
export interface FoundCommit {
  /** 40 hex digits. */
  commit: string
  pullRequest?: number
}

/** The input `ref` names nothing. */
export class RefUnknown extends Error {
  override name = 'RefUnknown'
  readonly hint: string
  constructor(message: string, hint: string) {
    super(`ref: ${message}`)
    this.hint = hint
  }
}

const COMMIT = /^[0-9a-f]{40}$/

/**
 * Finds the commit that the inputs mean in this workflow run.
 * @throws {RefUnknown} with the way out
 */
export async function findCommit(
  { ref, repository }: { ref: string | undefined; repository: string },
  run: WorkflowRun,
  checkout: Checkout | undefined,
): Promise<FoundCommit> {
  const own = repository.toLowerCase() === run.repository.toLowerCase()
  const commit = await commitOf(ref, own ? run : undefined, checkout)
  const { number, head, merge } = (own && run.pullRequest) || {}
  return number !== undefined && (commit === head || commit === merge) ? { commit, pullRequest: number } : { commit }
}

/** @param run absent where the code is another repository's */
async function commitOf(
  ref: string | undefined,
  run: WorkflowRun | undefined,
  checkout: Checkout | undefined,
): Promise<string> {
  if (ref === undefined || (run && ref === run.ref)) return defaultCommit(run)
  if (ref === 'head' || ref === 'merge') return ofPullRequest(ref, run)
  if (COMMIT.test(ref.toLowerCase())) return ref.toLowerCase()
  const found = await checkout?.resolve(ref)
  if (found !== undefined) return found
  throw new RefUnknown(
    `${JSON.stringify(ref)} is not known in ${checkout?.folder ?? 'this job'}`,
    'Check the repository out in an earlier step, with that ref or "fetch-depth: 0"; or give all 40 digits of the commit.',
  )
}

function defaultCommit(run: WorkflowRun | undefined): string {
  if (run === undefined) {
    throw new RefUnknown(
      'is needed for another repository',
      'Name the commit by its 40 digits, or by a ref of its checkout.',
    )
  }
  if (COMMIT.test(run.sha)) return run.sha
  throw new RefUnknown('this job has no GITHUB_SHA', 'Name the commit with the input "ref".')
}

function ofPullRequest(which: 'head' | 'merge', run: WorkflowRun | undefined): string {
  const pull = run?.pullRequest
  if (pull === undefined) {
    throw new RefUnknown(
      `"${which}" has a meaning only on events of a pull request`,
      `Leave it out, or name a branch of that name as "refs/heads/${which}".`,
    )
  }
  const commit = pull[which]
  if (commit !== undefined && COMMIT.test(commit)) return commit
  throw new RefUnknown(
    `pull request ${pull.number} has no ${which} commit now`,
    'Solve its conflicts, or use "ref: head".',
  )
}
