import { PassThrough, Readable } from 'node:stream'
import type { Blobs, Digest } from '../blobs/blobs.ts'
import type { Builder } from '../builder/builder.ts'
import type { Database } from '../database/database.ts'
import { findFragments, saveFragment } from '../database/known.ts'
import type { Download } from '../fetch/errors.ts'
import type { Fetched, Fetcher } from '../fetch/fetcher.ts'
import type { BaseImage } from '../image/base.ts'
import { bytecodeFragment } from '../image/bytecode.ts'
import type { Fragment, PlannedArtifact, StoredFragment } from '../image/fragment.ts'
import { builtKey, bytecodeKey, filesKey } from '../image/fragment-keys.ts'
import type { Transcoder } from '../image/transcode-pool.ts'
import type { Artifact } from '../interpreter/lock.ts'
import type { Probe } from '../interpreter/probe.ts'
import { type Domain, GLOBAL, readable } from '../policy/domain.ts'
import type { KeyedQueue } from './keyed-queue.ts'
import { workFile } from './work-file.ts'

/** Artifacts whose bytes may be under way at once. */
const AT_ONCE = 8

/** What making fragments needs. */
export interface MakeParts {
  database: Database
  blobs: Blobs
  builder: Builder
  fetcher: Fetcher
  transcoder: Transcoder
  /** Where wheels are put while they are in use. */
  folder: string
  /** Two builds never make the same fragment at once. */
  queue: KeyedQueue
}

/** What is to be made, for whom. */
export interface MakeOrder {
  artifacts: Artifact[]
  base: BaseImage
  probe: Probe
  domain: Domain
  /** Wheels that are on this machine already, by their names: the service's own, from its committed list. */
  local: ReadonlyMap<string, { file: string; size: number; sha256: string }> | undefined
  /** Whether files of this artifact may serve everybody: it came without credentials from a public index. */
  isPublic: (artifact: Artifact) => boolean
  /** Whether an operator vouches for the base, so that its byte code may serve everybody. */
  operatorBase: boolean
  signal: AbortSignal
  report: (line: string) => void
  progress: (done: number) => void
}

/** Fragments of every artifact, and the account of them in bytes. */
export interface Made {
  artifacts: PlannedArtifact[]
  /** Names of artifacts of which something had to be made. */
  fresh: Set<string>
  /** Compressed bytes of fragments that were known. */
  bytesReused: number
  /** Bytes that were fetched. */
  bytesTransferred: number
}

/** The fragments of a list of artifacts: what is known is taken, the rest is fetched, transcoded and compiled, all at the same time. */
export async function makeFragments(parts: MakeParts, order: MakeOrder): Promise<Made> {
  const made: Made = { artifacts: [], fresh: new Set(), bytesReused: 0, bytesTransferred: 0 }
  const compiler = new Compiler(parts, order)
  try {
    let done = 0
    const files = await Readable.from(order.artifacts)
      .map(
        async (artifact: Artifact) => {
          const stored = await filesOf(parts, order, artifact, made)
          compiler.want(artifact, stored)
          order.progress(++done)
          return { artifact, stored }
        },
        { concurrency: AT_ONCE, signal: order.signal },
      )
      .toArray({ signal: order.signal })
    const byteCode = await compiler.finish(made)
    made.artifacts = files.map(({ artifact: { name, version }, stored }) => {
      const bytecode = byteCode.get(name)
      return { name, version, files: stored, ...(bytecode && { bytecode }) }
    })
    return made
  } catch (error) {
    compiler.abandon()
    throw error
  }
}

/** An artifact's files, known or made. */
async function filesOf(parts: MakeParts, order: MakeOrder, artifact: Artifact, made: Made): Promise<StoredFragment> {
  const key = identityOf(artifact, order)
  const home = isGlobal(artifact, order) ? GLOBAL : order.domain
  return await parts.queue.run(key, async () => {
    const known = await find(parts, order.domain, key)
    if (known !== undefined) {
      made.bytesReused += known.size
      return known
    }
    made.fresh.add(artifact.name)
    await using fetched = await bytesOf(parts, order, artifact)
    made.bytesTransferred += fetched.size
    return await store(parts, home, key, await transcode(parts, order, artifact, fetched))
  })
}

async function bytesOf(parts: MakeParts, { local, signal }: MakeOrder, artifact: Artifact): Promise<Fetched> {
  const here = local?.get(artifact.filename)
  if (here?.sha256 === artifact.sha256 && here !== undefined) return { ...here, [Symbol.asyncDispose]: async () => {} }
  return await parts.fetcher.fetch(downloadOf(artifact), { signal })
}

async function transcode(parts: MakeParts, order: MakeOrder, artifact: Artifact, fetched: Fetched): Promise<Fragment> {
  const python = minorVersion(order.probe)
  const { blobs, builder, transcoder } = parts
  if (artifact.filename.endsWith('.whl')) {
    return (await transcoder.transcode({ file: fetched.file, filename: artifact.filename, python, blobs })).fragment
  }
  order.report(`building a wheel of ${artifact.filename}`)
  const wheel = await builder.buildWheel(order.base, order.probe, { artifact, file: fetched.file }, order)
  await using local = await workFile(parts.folder, wheel.bytes)
  return (await transcoder.transcode({ file: local.file, filename: wheel.filename, python, blobs })).fragment
}

/** Byte code of artifacts as their files come in; one container of the base does them all. */
class Compiler {
  readonly #parts: MakeParts
  readonly #order: MakeOrder
  readonly #requests = new PassThrough({ objectMode: true })
  readonly #wanted = new Map<string, Artifact>()
  readonly #results = new Map<string, StoredFragment>()
  readonly #known: Promise<void>[] = []
  #running: Promise<void> | undefined

  constructor(parts: MakeParts, order: MakeOrder) {
    this.#parts = parts
    this.#order = order
  }

  /** Says that an artifact's byte code is needed. */
  want(artifact: Artifact, files: StoredFragment): void {
    if (!files.entries.some((entry) => entry.path.endsWith('.py') && entry.link === undefined)) return
    const { base, probe, domain } = this.#order
    const key = bytecodeKey(identityOf(artifact, this.#order), probe.cacheTag, base.digest)
    const look = async () => {
      const known = await find(this.#parts, domain, key)
      if (known !== undefined) this.#results.set(artifact.name, known)
      else {
        this.#wanted.set(key, artifact)
        this.#requests.write({ key, files })
        this.#running ??= this.#compile()
      }
    }
    this.#known.push(look())
  }

  /** Waits for all of it. By the artifacts' names. */
  async finish(made: Made): Promise<Map<string, StoredFragment>> {
    await Promise.all(this.#known)
    for (const { size } of this.#results.values()) made.bytesReused += size
    for (const { name } of this.#wanted.values()) made.fresh.add(name)
    this.#requests.end()
    await this.#running
    return this.#results
  }

  /** Lets the container end where something else went wrong. */
  abandon(): void {
    this.#requests.destroy()
    // Why it ends is known: the failure that made us let go of it.
    this.#running?.catch(() => {})
    for (const look of this.#known) look.catch(() => {})
  }

  async #compile(): Promise<void> {
    const { base, domain, operatorBase, report } = this.#order
    for await (const { key, files, skipped } of this.#parts.builder.compile(base, this.#requests, this.#order)) {
      const artifact = this.#wanted.get(key)
      if (artifact === undefined) throw new Error(`byte code came for ${key}, which nobody asked for`)
      if (skipped.length > 0)
        report(`${artifact.name}: ${skipped.length} files are no Python of this version: ${skipped[0]}`)
      const global = operatorBase && isGlobal(artifact, this.#order)
      const fragment = await bytecodeFragment(files, this.#parts.blobs)
      this.#results.set(artifact.name, await store(this.#parts, global ? GLOBAL : domain, key, fragment))
    }
  }
}

/** What the fetcher is asked for. */
export function downloadOf({ name, url, sha256, size }: Artifact): Download {
  if (url === undefined) throw new Error(`${name}: it has no URL, and files of the repository are not supported`)
  return { name, url, ...(sha256 !== undefined && { sha256 }), ...(size !== undefined && { size }) }
}

/** Whether an artifact's files may serve everybody. What is built from source may differ from machine to machine. */
function isGlobal(artifact: Artifact, { local, isPublic }: MakeOrder): boolean {
  return artifact.kind === 'wheel' && (local?.has(artifact.filename) || isPublic(artifact))
}

/** What an artifact's files are known by. What is built from source depends on the base that builds it. */
function identityOf(artifact: Artifact, { base, probe }: MakeOrder): string {
  if (artifact.sha256 === undefined)
    throw new Error(`${artifact.name}: its hash must be known before its fragments are made`)
  const python = minorVersion(probe)
  return artifact.filename.endsWith('.whl')
    ? filesKey(artifact.sha256, python)
    : builtKey(artifact.sha256, python, base.digest)
}

function minorVersion(probe: Probe): string {
  return probe.version.split('.', 2).join('.')
}

async function find({ database, blobs }: MakeParts, domain: Domain, key: string): Promise<StoredFragment | undefined> {
  const row = (await findFragments(database.state, [...readable(domain), GLOBAL], [key])).get(key)
  if (row === undefined) return undefined
  const fragment = await readJson<Fragment>(blobs, row.manifest)
  // A row without its bytes is as good as none: they are made again.
  return (await blobs.size(fragment.digest)) === undefined ? undefined : { ...fragment, manifest: row.manifest }
}

async function store(
  { database, blobs }: MakeParts,
  domain: Domain,
  key: string,
  fragment: Fragment,
): Promise<StoredFragment> {
  const { digest: manifest } = await blobs.put(Buffer.from(JSON.stringify(fragment)))
  await database.write(({ db }) => saveFragment(db, { domain, key, manifest, created: Date.now() }))
  return { ...fragment, manifest }
}

/** A JSON blob that this service wrote. */
export async function readJson<T>(blobs: Blobs, digest: Digest): Promise<T> {
  const chunks: Buffer[] = []
  for await (const chunk of await blobs.open(digest)) chunks.push(chunk)
  return JSON.parse(Buffer.concat(chunks).toString()) as T
}
