import { Readable } from 'node:stream'
import type { Fetched } from '../fetch/fetcher.ts'
import type { Fragment, PlannedArtifact, StoredFragment } from '../image/fragment.ts'
import { heaviestFirst, isHeavy } from '../image/plan-fresh.ts'
import type { Artifact } from '../interpreter/lock.ts'
import { GLOBAL } from '../policy/domain.ts'
import { Compiler } from './compile-fragments.ts'
import { findFragment, storeFragment } from './fragment-store.ts'
import {
  downloadOf,
  identityOf,
  isGlobal,
  type Made,
  type MakeOrder,
  type MakeParts,
  minorVersion,
} from './make-order.ts'
import { workFile } from './work-file.ts'

/** Heavy artifacts whose bytes may be under way at once: few, so that the first of them are soon there as a whole. */
const HEAVY_AT_ONCE = 3
/** Others beside them. */
const OTHERS_AT_ONCE = 4

/** The fragments of a list of artifacts: what is known is taken, the rest is fetched, transcoded and compiled, all at the same time. */
export async function makeFragments(parts: MakeParts, order: MakeOrder): Promise<Made> {
  const made: Made = { artifacts: [], fresh: new Set(), bytesReused: 0, bytesTransferred: 0 }
  const compiler = new Compiler(parts, order, made)
  const whole: Promise<PlannedArtifact>[] = []
  const halt = new AbortController()
  const signal = AbortSignal.any([order.signal, halt.signal])
  const make = async (artifact: Artifact) => {
    const files = await filesOf(parts, { ...order, signal }, artifact, made)
    const planned = { ...weighted(artifact), version: artifact.version, files }
    order.onFiles?.(planned, made.fresh.has(artifact.name))
    const artifactWhole = withByteCode(planned, compiler.byteCodeOf(artifact, files))
    // A failure is told below, once all files are there.
    artifactWhole.catch(() => {})
    whole.push(artifactWhole)
    order.progress(whole.length)
  }
  const makeAll = async (artifacts: Artifact[], concurrency: number) =>
    await Readable.from(artifacts).map(make, { concurrency, signal }).toArray({ signal })
  const ordered = order.artifacts.toSorted((a, b) => heaviestFirst(weighted(a), weighted(b)))
  const heavy = ordered.filter((artifact) => isHeavy(weighted(artifact)))
  const others = ordered.slice(heavy.length)
  try {
    await Promise.all([makeAll(heavy, HEAVY_AT_ONCE), makeAll(others, OTHERS_AT_ONCE)])
    await compiler.finish()
    made.artifacts = await Promise.all(whole)
    return made
  } catch (error) {
    halt.abort(error)
    compiler.abandon(error)
    await Promise.allSettled(whole)
    throw error
  }
}

function weighted({ name, size = 0 }: Artifact): Pick<PlannedArtifact, 'name' | 'weight'> {
  return { name, weight: size }
}

async function withByteCode(
  planned: PlannedArtifact,
  coming: Promise<StoredFragment | undefined>,
): Promise<PlannedArtifact> {
  const bytecode = await coming
  return { ...planned, ...(bytecode && { bytecode }) }
}

/** An artifact's files, known or made. */
async function filesOf(parts: MakeParts, order: MakeOrder, artifact: Artifact, made: Made): Promise<StoredFragment> {
  const key = identityOf(artifact, order)
  const home = isGlobal(artifact, order) ? GLOBAL : order.domain
  return await parts.queue.run(key, async () => {
    const known = await findFragment(parts, order.domain, key)
    if (known !== undefined) {
      made.bytesReused += known.size
      return known
    }
    made.fresh.add(artifact.name)
    await using fetched = await bytesOf(parts, order, artifact)
    made.bytesTransferred += fetched.size
    return await storeFragment(parts, home, key, await transcode(parts, order, artifact, fetched))
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
  const { signal } = order
  if (artifact.filename.endsWith('.whl')) {
    return (await transcoder.transcode({ file: fetched.file, filename: artifact.filename, python, blobs, signal }))
      .fragment
  }
  order.report(`building a wheel of ${artifact.filename}`)
  const wheel = await builder.buildWheel(order.base, order.probe, { artifact, file: fetched.file }, order)
  await using local = await workFile(parts.folder, wheel.bytes)
  return (await transcoder.transcode({ file: local.file, filename: wheel.filename, python, blobs, signal })).fragment
}
