import { readFile } from 'node:fs/promises'
import * as z from 'zod/mini'

/** What we use of a workflow run's event: https://docs.github.com/en/webhooks/webhook-events-and-payloads */
const Payload = z.object({
  pull_request: z.optional(
    z.object({
      number: z.int(),
      head: z.object({ sha: z.string() }),
      merge_commit_sha: z.optional(z.nullable(z.string())),
    }),
  ),
})

/** The workflow run that this step is in. */
export interface WorkflowRun {
  /** `push`, `pull_request`, … */
  event: string
  /** `owner/name` */
  repository: string
  sha: string
  /** `refs/heads/main` */
  ref: string
  /** The id of the run, for the account of who ran what. */
  id: string
  /** Where a checkout is, if there is one. */
  workspace: string
  pullRequest: { number: number; head: string; merge: string | undefined } | undefined
}

/** Reads the run from what the runner says in the environment. */
export async function workflowRun(env: NodeJS.ProcessEnv): Promise<WorkflowRun> {
  const event = env.GITHUB_EVENT_NAME ?? ''
  const { pull_request: pull } = await payload(env.GITHUB_EVENT_PATH)
  const sha = env.GITHUB_SHA ?? ''
  return {
    event,
    repository: env.GITHUB_REPOSITORY ?? '',
    sha,
    ref: env.GITHUB_REF ?? '',
    id: env.GITHUB_RUN_ID ?? '',
    workspace: env.GITHUB_WORKSPACE ?? process.cwd(),
    pullRequest: pull && {
      number: pull.number,
      head: pull.head.sha,
      // Of pull_request, the run's own commit is the merge commit; the payload's may be an older one.
      merge: event === 'pull_request' ? sha : (pull.merge_commit_sha ?? undefined),
    },
  }
}

async function payload(path: string | undefined): Promise<z.infer<typeof Payload>> {
  if (!path) return {}
  const parsed = Payload.safeParse(JSON.parse(await readFile(path, 'utf8')))
  // Events without a pull request, or with something else of that name.
  return parsed.success ? parsed.data : {}
}
