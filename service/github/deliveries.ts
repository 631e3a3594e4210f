import * as z from 'zod/mini'
import { CommitId, RepositoryName } from '../../common/contract.ts'

const NO_COMMIT = '0'.repeat(40)
const HEADS = 'refs/heads/'

/** A ref as git allows it (git-check-ref-format): no spaces, controls, `..`, `@{` or glob characters. */
const Ref = z.string().check(
  z.maxLength(1024),
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
  z.regex(/^refs\/(?!.*(?:\.\.|@\{|\/\/|\/\.|\.lock(?:\/|$)))[^\x00-\x20\x7f~^:?*[\\]+(?<![./])$/, 'must be a git ref'),
)

/** What is read of a push's payload (GitHub, "webhook events and payloads"); the rest is not looked at. */
const Push = z.object({
  ref: Ref,
  before: CommitId,
  after: CommitId,
  deleted: z.boolean(),
  repository: z.object({
    id: z.int().check(z.minimum(1)),
    full_name: RepositoryName,
    default_branch: z.string().check(z.maxLength(1024)),
  }),
})

/** The payload of a `prebuild` job. */
export const PrebuildOrder = z.object({
  /** The repository's id, `rep_…`. */
  repository: z.string(),
  name: RepositoryName,
  ref: Ref,
  commit: CommitId,
  /** The commit that the branch was at; 40 zeros where it is new. */
  before: CommitId,
  branch: z.string(),
  defaultBranch: z.string(),
})
export type PrebuildOrder = z.infer<typeof PrebuildOrder>

/** What a delivery asks for. */
export type Interpretation =
  | { act: 'prebuild'; githubId: number; push: Omit<PrebuildOrder, 'repository'> }
  /** `did` says why: `ping` or `ignored: …` */
  | { act: 'nothing'; did: string }

/** A signed delivery that does not look like one of GitHub's. */
export class DeliveryMalformed extends Error {
  override name = 'DeliveryMalformed'
}

/**
 * Says what a verified delivery asks for. Pure.
 * @throws {DeliveryMalformed} naming the field of a push that is missing or wrong
 */
export function interpret(event: string, payload: unknown): Interpretation {
  if (event === 'ping') return { act: 'nothing', did: 'ping' }
  if (event !== 'push') return { act: 'nothing', did: `ignored: event ${event}` }
  const parsed = Push.safeParse(payload)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    throw new DeliveryMalformed(`${issue?.path.join('.') || 'payload'}: ${issue?.message}`)
  }
  const { ref, before, after, deleted, repository } = parsed.data
  if (!ref.startsWith(HEADS)) return { act: 'nothing', did: `ignored: ${ref} is no branch` }
  if (deleted || after === NO_COMMIT) return { act: 'nothing', did: `ignored: ${ref} was deleted` }
  return {
    act: 'prebuild',
    githubId: repository.id,
    push: {
      name: repository.full_name,
      ref,
      commit: after,
      before,
      branch: ref.slice(HEADS.length),
      defaultBranch: repository.default_branch,
    },
  }
}
