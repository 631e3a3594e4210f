import type { Checkout } from '../client/deployment/checkout.ts'
import { ServiceRefused } from '../client/errors.ts'
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
const SHORT = /^[0-9a-f]{4,39}$/
/** With these the service does not know what the git host has: it has no way into the repository, or to the host. */
const UNKNOWING = ['needs-credentials', 'repository-not-found', 'unreachable', 'failed']

/** Who knows what a ref means. */
export interface RefSources {
  /** Where code is checked out in this job. */
  checkout?: Checkout | undefined
  /** Asks the service, which asks the git host. */
  ask: (ref: string) => Promise<string>
  /** Called with what a user should know. */
  say: (line: string) => void
}

/**
 * Finds the commit that the inputs mean in this workflow run.
 * @throws {RefUnknown} with the way out; what `ask` throws
 */
export async function findCommit(
  { ref, repository }: { ref: string | undefined; repository: string },
  run: WorkflowRun,
  { checkout, ...others }: RefSources,
): Promise<FoundCommit> {
  const own = repository.toLowerCase() === run.repository.toLowerCase()
  // A branch of another repository means nothing in a checkout of this one.
  const here = checkout !== undefined && (own || (await checkout.isOf(repository))) ? checkout : undefined
  const commit = await commitOf(ref, own ? run : undefined, { checkout: here, ...others })
  const { number, head, merge } = (own && run.pullRequest) || {}
  return number !== undefined && (commit === head || commit === merge) ? { commit, pullRequest: number } : { commit }
}

/** @param run absent where the code is another repository's */
async function commitOf(ref: string | undefined, run: WorkflowRun | undefined, sources: RefSources): Promise<string> {
  if (ref === undefined && run === undefined) return await sources.ask('HEAD')
  if (ref === undefined || (run && ref === run.ref)) return ofRun(run)
  if (ref === 'head' || ref === 'merge') return ofPullRequest(ref, run)
  if (COMMIT.test(ref.toLowerCase())) return ref.toLowerCase()
  return await named(ref, sources)
}

/** Where branches are now, only the git host knows: the checkout may be of last week, on a runner that keeps them. */
async function named(ref: string, { checkout, ask, say }: RefSources): Promise<string> {
  try {
    return await ask(ref)
  } catch (error) {
    if (!(error instanceof ServiceRefused)) throw error
    const short = error.code === 'ref-not-found' && SHORT.test(ref)
    const commit = short || UNKNOWING.includes(error.code) ? await checkout?.resolve(ref) : undefined
    if (commit === undefined) throw error
    if (short) say(`ref: ${ref} is short for ${commit} in the checkout.`)
    else say(`ref: the checkout was asked for ${ref}, which may be newer at the git host: ${error.message}`)
    return commit
  }
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
