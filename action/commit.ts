import type { Checkout } from '../client/deployment/checkout.ts'
import { HintedError } from '../common/hinted-error.ts'
import type { WorkflowRun } from './event.ts'

/** The commit to run, and the pull request that it belongs to. */
export interface FoundCommit {
  /** 40 hex digits. */
  commit: string
  pullRequest?: number
}

/** The input `ref` names nothing. */
export class RefUnknown extends HintedError {
  override name = 'RefUnknown'
  constructor(message: string, hint: string) {
    super(`ref: ${message}`, hint)
  }
}

const COMMIT = /^[0-9a-f]{40}$/

/** Who knows what a ref means. */
export interface RefSources {
  /** Where code is checked out in this job. */
  checkout?: Checkout | undefined
  /** Asks the service, which asks the git host. */
  ask: (ref: string) => Promise<string>
}

/**
 * Finds the commit that the inputs mean in this workflow run.
 * @throws {RefUnknown} with the way out; what `ask` throws
 */
export async function findCommit(
  { ref, repository }: { ref: string | undefined; repository: string },
  run: WorkflowRun,
  { checkout, ask }: RefSources,
): Promise<FoundCommit> {
  const own = repository.toLowerCase() === run.repository.toLowerCase()
  // A branch of another repository means nothing in a checkout of this one.
  const here = checkout !== undefined && (own || (await checkout.isOf(repository))) ? checkout : undefined
  const commit = await commitOf(ref, own ? run : undefined, { checkout: here, ask })
  const { number, head, merge } = (own && run.pullRequest) || {}
  return number !== undefined && (commit === head || commit === merge) ? { commit, pullRequest: number } : { commit }
}

/** @param run absent where the code is another repository's */
async function commitOf(
  ref: string | undefined,
  run: WorkflowRun | undefined,
  { checkout, ask }: RefSources,
): Promise<string> {
  if (ref === undefined && run === undefined) return await ask('HEAD')
  if (ref === undefined || (run && ref === run.ref)) return ofRun(run)
  if (ref === 'head' || ref === 'merge') return ofPullRequest(ref, run)
  if (COMMIT.test(ref.toLowerCase())) return ref.toLowerCase()
  return (await checkout?.resolve(ref)) ?? (await ask(ref))
}

function ofRun(run: WorkflowRun | undefined): string {
  if (run !== undefined && COMMIT.test(run.sha)) return run.sha
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
