import * as z from 'zod/mini'
import type { Blobs } from '../blobs/blobs.ts'
import { condaArtifact, parseCondaUrl } from '../interpreter/conda.ts'
import type { Artifact } from '../interpreter/lock.ts'
import { type CondaRequest, type Resolved, ResolverRefused } from '../interpreter/resolution.ts'
import { ChannelOffers, channelUrls, type ReadRepodata } from './conda-channels.ts'
import { Elsewhere } from './conda-elsewhere.ts'
import type { CondaSession } from './conda-session.ts'
import { credible } from './credible.ts'
import { ask, type KeptSteps } from './kept-steps.ts'
import type { ResolveOptions } from './options.ts'

export interface SolveParts {
  steps: KeptSteps<CondaSession>
  blobs: Blobs
  repodata: ReadRepodata
  /** The operator's channels: name -> URL. */
  channels: Record<string, string>
}

const Row = z.object({
  url: z.string(),
  sha256: z.nullable(z.string().check(z.regex(/^[0-9a-f]{64}$/))),
  md5: z.nullable(z.string().check(z.regex(/^[0-9a-f]{32}$/))),
  size: z.nullable(z.int()),
  sitePackages: z.nullable(z.string()),
})
const Answer = z.union([
  z.object({ failed: z.string(), spec: z.optional(z.string()) }),
  z.object({ records: z.array(Row) }),
])

/**
 * Solves an environment for a target by what its channels say of their packages.
 * @throws {ResolverRefused} with the solver's own explanation, in full
 */
export async function solve(parts: SolveParts, request: CondaRequest, options: ResolveOptions): Promise<Resolved> {
  const { specs, target } = request
  const named = channelUrls(request.channels, parts.channels)
  return await answered(parts, options, async (session) => {
    const offers = new ChannelOffers(session, parts, options.signal)
    const channels = await offers.of(named, target.subdir, true)
    const asked = { solve: specs, channels, subdir: target.subdir, virtual: target.virtual }
    const answer = credible(Answer, await ask(session, asked))
    if ('records' in answer) return { text: '', artifacts: answer.records.map(artifactOf) }
    const refused = new ResolverRefused('conda', answer.failed, answer.spec)
    // What is no spec at all is looked for nowhere.
    if (answer.spec !== undefined) return refused
    return (await new Elsewhere(session, offers, named).explain(specs, target)) ?? refused
  })
}

/** A refusal is an answer like another: what gave it can be asked again. */
async function answered(
  { steps }: SolveParts,
  options: ResolveOptions,
  work: (session: CondaSession) => Promise<Resolved | ResolverRefused>,
): Promise<Resolved> {
  const answer = await steps.use(options, async (session) => {
    return await work(session).catch((error) => {
      if (error instanceof ResolverRefused) return error
      throw error
    })
  })
  if (answer instanceof ResolverRefused) throw answer
  return answer
}

function artifactOf({ url, sha256, md5, size, sitePackages }: z.infer<typeof Row>): Artifact {
  const parsed = parseCondaUrl(url)
  if (!parsed) throw new ResolverRefused('conda', `${url} is no URL of a conda package`)
  const artifact = condaArtifact(url, parsed, { ...(sha256 && { sha256 }), ...(md5 && { md5 }), ...(size && { size }) })
  return sitePackages && artifact.conda ? { ...artifact, conda: { ...artifact.conda, sitePackages } } : artifact
}
