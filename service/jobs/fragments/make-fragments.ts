import { Readable } from 'node:stream'
import type { Fragment, PlannedArtifact, StoredFragment } from '../../image/fragment.ts'
import { heaviestFirst, isHeavy } from '../../image/plan-fresh.ts'
import type { Artifact } from '../../interpreter/lock.ts'
import { GLOBAL } from '../../policy/domain.ts'
import { Compiler } from './compile-fragments.ts'
import { findFragment, storeFragment } from './fragment-store.ts'
import { linkedFragment } from './link-package.ts'
import { identityOf, isGlobal, type Made, type MakeOrder, type MakeParts, minorVersion } from './make-order.ts'
import { wheelOf } from './wheel-of.ts'

/** Heavy artifacts whose bytes may be under way at once: few, so that the first of them are soon there as a whole. */
const HEAVY_AT_ONCE = 2
/** Others beside them. */
const OTHERS_AT_ONCE = 4

/**
 * The fragments of a list of artifacts: what is known is taken, the rest is fetched, transcoded and compiled, all at the
 * same time.
 * @param before some of the artifacts, whose files are made already
 */
export async function makeFragments(parts: MakeParts, order: MakeOrder, before?: Made): Promise<Made> {
  const made: Made = { fresh: new Set(), bytesReused: 0, bytesTransferred: 0, ...before, artifacts: [] }
  const have = new Map(before?.artifacts.map(({ name, files }) => [name, files]))
  const compiler = new Compiler(parts, order, made)
  const whole: Promise<PlannedArtifact>[] = []
  const halt = new AbortController()
  const signal = AbortSignal.any([order.signal, halt.signal])
  const make = async (artifact: Artifact) => {
    const files = have.get(artifact.name) ?? (await filesOf(parts, { ...order, signal }, artifact, made))
    const planned = { ...weighted(artifact), version: artifact.version, files }
    order.onFiles?.(planned, made.fresh.has(artifact.name))
    const coming = order.filesOnly ? undefined : compiler.byteCodeOf(artifact, files)
    const artifactWhole = withByteCode(planned, coming)
    // A failure is told below, once all files are there.
    artifactWhole.then(order.onWhole).catch(() => {})
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

/** The files of those artifacts that have been made. */
export async function knownFiles(
  parts: MakeParts,
  order: MakeOrder,
): Promise<Pick<PlannedArtifact, 'name' | 'files'>[]> {
  const found = order.artifacts.map(async (artifact) => {
    const files = await findFragment(parts, order.domain, identityOf(artifact, order))
    return files ? [{ name: artifact.name, files }] : []
  })
  return (await Promise.all(found)).flat()
}

function weighted({ name, size = 0 }: Artifact): Pick<PlannedArtifact, 'name' | 'weight'> {
  return { name, weight: size }
}

async function withByteCode(
  planned: PlannedArtifact,
  coming: Promise<StoredFragment | undefined> | undefined,
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
    const make = artifact.kind === 'conda' ? linkedFragment : wheelFragment
    const { fragment, transferred } = await make(parts, order, artifact)
    made.bytesTransferred += transferred
    return await storeFragment(parts, home, key, fragment)
  })
}

async function wheelFragment(
  parts: MakeParts,
  order: MakeOrder,
  artifact: Artifact,
): Promise<{ fragment: Fragment; transferred: number }> {
  await using wheel = await wheelOf(parts, order, artifact)
  const { file, filename, transferred } = wheel
  const { blobs, transcoder } = parts
  const { signal } = order
  const python = minorVersion(order.probe)
  const { fragment } = await transcoder.transcode({ file, filename, python, blobs, signal })
  return { fragment, transferred }
}
