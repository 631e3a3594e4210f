import * as z from 'zod/mini'
import type { Blobs, Digest } from '../blobs/blobs.ts'
import { condaArtifact, parseCondaUrl } from '../interpreter/conda.ts'
import type { Artifact } from '../interpreter/lock.ts'
import { type CondaRequest, type Resolved, ResolverRefused } from '../interpreter/resolution.ts'
import type { ResolveOptions } from './builder.ts'
import type { CondaSession } from './conda-session.ts'
import { BrokenFrames } from './frames.ts'
import { ask, type KeptSteps } from './kept-steps.ts'

/** What a channel offers for a platform; undefined where that is nothing. */
export type ReadRepodata = (
  channel: string,
  subdir: string,
  signal: AbortSignal,
) => Promise<{ digest: Digest; size: number } | undefined>

export interface SolveParts {
  steps: KeptSteps<CondaSession>
  blobs: Blobs
  repodata: ReadRepodata
  /** The operator's channels: name -> URL. */
  channels: Record<string, string>
}

/** What conda means by names that are no channel of anaconda.org. https://docs.conda.io/projects/conda/en/stable/user-guide/configuration/settings.html */
const DEFAULTS = ['https://repo.anaconda.com/pkgs/main', 'https://repo.anaconda.com/pkgs/r']
const ALIAS = 'https://conda.anaconda.org'
/** Where an exact build is looked for that the target lacks: people make environments on these. */
const ELSEWHERE = ['osx-arm64', 'osx-64', 'win-64', 'linux-aarch64', 'linux-64']
/** `numpy=2.1.0=py311h64a7726_0` */
const EXACT = /^(?:\S+::)?[\w.-]+=[^=\s]+=[^=\s[\]]+$/

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
const Found = z.object({ found: z.array(z.tuple([z.boolean(), z.array(z.string())])) })

/**
 * Solves an environment for a target by what its channels say of their packages.
 * @throws {ResolverRefused} with the solver's own explanation, in full
 */
export async function solve(parts: SolveParts, request: CondaRequest, options: ResolveOptions): Promise<Resolved> {
  const { specs, target } = request
  const channels = channelUrls(request.channels, parts.channels)
  return await answered(parts, options, async (session) => {
    const listed = await offer(parts, session, channels, [target.subdir, 'noarch'], options.signal)
    const asked = { solve: specs, channels: listed, subdir: target.subdir, virtual: target.virtual }
    const answer = credible(Answer, await ask(session, asked))
    if ('records' in answer) return { text: '', artifacts: answer.records.map(artifactOf) }
    return (
      (await elsewhere(parts, session, { ...request, channels: channels.map(({ url }) => url) }, options.signal)) ??
      new ResolverRefused('conda', answer.failed, answer.spec)
    )
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

interface NamedChannel {
  url: string
  /** As the file names it. */
  name: string
}

function channelUrls(names: string[], own: Record<string, string>): NamedChannel[] {
  const urls = names.flatMap((name): NamedChannel[] => {
    const plain = name.replace(/\/+$/, '')
    const url = own[plain]
    if (url !== undefined) return [{ url: url.replace(/\/+$/, ''), name: plain }]
    if (/^[a-z][a-z0-9+.-]*:\/\//i.test(plain)) return [{ url: plain, name: plain }]
    if (plain === 'defaults') return DEFAULTS.map((each) => ({ url: each, name: plain }))
    return [{ url: `${ALIAS}/${plain}`, name: plain }]
  })
  return [...new Map(urls.map((each) => [each.url, each])).values()]
}

/** Gives the session what it does not have yet of the channels, and their numbers and URLs there. */
async function offer(
  { repodata, blobs }: SolveParts,
  session: CondaSession,
  channels: NamedChannel[],
  subdirs: string[],
  signal: AbortSignal,
): Promise<[number, string, string][]> {
  const listed: [number, string, string][] = []
  for (const { url, name } of channels) {
    const number = session.channels.get(url) ?? session.channels.size
    session.channels.set(url, number)
    listed.push([number, url, name])
    const offers = await Promise.all(subdirs.map((subdir) => repodata(url, subdir, signal)))
    if (offers.every((each) => each === undefined)) {
      throw new ResolverRefused('channel', `the channel ${name} has nothing at ${url}/${subdirs[0]}`)
    }
    for (const [index, offered] of offers.entries()) {
      const subdir = subdirs[index] ?? ''
      const key = `${number}/${subdir}`
      const digest = offered?.digest ?? 'none'
      if (session.sent.get(key) === digest) continue
      const bytes = offered ? await blobs.open(offered.digest) : [Buffer.from(EMPTY)]
      const size = offered?.size ?? EMPTY.length
      await ask(session, { channel: number, subdir, size }, bytes as AsyncIterable<Buffer>)
      session.sent.set(key, digest)
    }
  }
  return listed
}

const EMPTY = '{"packages": {}, "packages.conda": {}}'

/** Proof that exact builds are for another platform, where that is why there is no solution. */
async function elsewhere(
  parts: SolveParts,
  session: CondaSession,
  { specs, channels, target }: CondaRequest,
  signal: AbortSignal,
): Promise<ResolverRefused | undefined> {
  const exact = specs.filter((spec) => EXACT.test(spec))
  if (exact.length === 0) return undefined
  const named = channels.map((url) => ({ url, name: url }))
  const find = async (subdir: string, asked: string[]) => {
    const listed = await offer(parts, session, named, [subdir, 'noarch'], signal)
    return credible(Found, await ask(session, { find: asked, channels: listed, subdir })).found
  }
  const here = await find(target.subdir, exact)
  const missing = exact.flatMap((spec, index) => (here[index]?.[0] ? [] : [{ spec, others: here[index]?.[1] ?? [] }]))
  for (const subdir of missing.length > 0 ? ELSEWHERE : []) {
    if (subdir === target.subdir) continue
    const there = await find(
      subdir,
      missing.map(({ spec }) => spec),
    )
    const proven = missing.filter((_, index) => there[index]?.[0])
    if (proven.length === 0) continue
    const message = `${proven.map(({ spec }) => spec).join(', ')} are builds for ${subdir}`
    return new ResolverRefused('platform', message, undefined, {
      elsewhere: { specs: proven.map(({ spec }) => spec), subdir, target, others: proven[0]?.others ?? [] },
    })
  }
  return undefined
}

function artifactOf({ url, sha256, md5, size, sitePackages }: z.infer<typeof Row>): Artifact {
  const parsed = parseCondaUrl(url)
  if (!parsed) throw new ResolverRefused('conda', `${url} is no URL of a conda package`)
  const artifact = condaArtifact(url, parsed, { ...(sha256 && { sha256 }), ...(md5 && { md5 }), ...(size && { size }) })
  return sitePackages && artifact.conda ? { ...artifact, conda: { ...artifact.conda, sitePackages } } : artifact
}

function credible<T extends z.ZodMiniType>(schema: T, answer: unknown): z.infer<T> {
  const parsed = z.safeParse(schema, answer)
  if (parsed.success) return parsed.data
  throw new BrokenFrames('what it says of a solution is not credible')
}
