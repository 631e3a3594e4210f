import type { CacheAccount, Verdict } from '../../common/contract.ts'
import { BlobMissing, type Digest } from '../blobs/blobs.ts'
import { readJson } from '../blobs/read-json.ts'
import { findImage, latestImage, saveImage } from '../database/known.ts'
import type { ImageRow } from '../database/schema.ts'
import type { PullOptions } from '../engine/engine.ts'
import { type AssembledImage, assembleImage } from '../image/assemble.ts'
import type { Fragment, PlannedArtifact } from '../image/fragment.ts'
import { imageKey, lineageKey } from '../image/keys.ts'
import type { Plan } from '../image/layer-plan.ts'
import type { LayerIndex } from '../image/layers.ts'
import { type Layout, LayoutUnreadable, layoutFromJson, layoutToJson } from '../image/layout.ts'
import { type PlanRequest, planDelta, planFresh } from '../image/plan.ts'
import { skeletonEntries } from '../image/skeleton.ts'
import type { Artifact, Lock } from '../interpreter/lock.ts'
import { lockDiff } from '../interpreter/lock-diff.ts'
import type { InterpreterSpec } from '../interpreter/spec.ts'
import { type Domain, readable } from '../policy/domain.ts'
import type { EmbeddedRegistry } from '../registry/embedded.ts'
import type { BringImage } from './bring-image.ts'
import { EarlyPull } from './early-pull.ts'
import type { EnsureLock, Locked, Seed } from './ensure-lock.ts'
import type { Journal } from './journal.ts'
import { makeFragments } from './make-fragments.ts'
import type { Made, MakeOrder, MakeParts } from './make-order.ts'

/** What the pipeline needs besides what making fragments needs. */
export interface ImageParts extends MakeParts {
  lock: EnsureLock
  layers: LayerIndex
  registry: EmbeddedRegistry
  bring: BringImage
  /** Removes an image from the node; layers that others have stay. */
  removeImage: (reference: string) => Promise<void>
  /** The pip of environments that have none. */
  seed: () => Promise<Seed>
  /** Whether the engine reads zstd layers. */
  zstd: boolean
  /** Hosts whose index serves everybody without credentials, with the hosts of their files. */
  isPublic: (artifact: Artifact) => boolean
  isOperatorBase: (name: string) => boolean
}

/** An image that somebody wants. */
export interface ImageOrder {
  domain: Domain
  /** The repository's id. */
  repository: string
  /** Where the commit was pushed to: a delta builds on this branch's newest image, else on the repository's. */
  branch: string | undefined
  spec: InterpreterSpec
  /** Files of artifacts that are on this machine already, by their names. */
  local?: MakeOrder['local']
}

/** An image that is on this node. */
export interface EnsuredImage {
  row: ImageRow
  locked: Locked
  /** How the engine knows it. */
  reference: string
  account: CacheAccount
  /** Why it should be laid out fresh soon, where it should. */
  worn?: string
}

interface Context {
  journal: Journal
  signal: AbortSignal
}

/** Spec -> lock -> fragments -> layers -> image -> node. The only place where the pipeline's steps follow each other. */
export class ImagePipeline {
  readonly #parts: ImageParts

  constructor(parts: ImageParts) {
    this.#parts = parts
  }

  /** Gives the image of a spec: known, or made of what is known and what is not. */
  async ensure(order: ImageOrder, context: Context): Promise<EnsuredImage> {
    const locked = await this.#parts.lock(order, context)
    return await this.fromLock(order, await this.#seeded(locked), context)
  }

  /** The steps behind the lock. One build an image at a time: who comes second finds it made. */
  async fromLock(order: ImageOrder, locked: Locked, context: Context): Promise<EnsuredImage> {
    const { queue, database } = this.#parts
    const key = keyOfImage(locked)
    return await queue.run(`image ${order.domain} ${key}`, async (waited) => {
      const row = await findImage(database.state, readable(order.domain), key)
      const image = row && (await this.#known(row, locked, waited, context))
      return image ?? (await this.#make(order, locked, key, context))
    })
  }

  /** Lays a worn image out afresh and brings it, so that the next delta builds on few layers. */
  async renew(order: ImageOrder, locked: Locked, { journal, signal }: Context): Promise<void> {
    const made = await this.#fragments(order, locked, { journal, signal })
    const key = keyOfImage(locked)
    const assembled = await this.#assemble(locked, planFresh(planRequest(locked, made.artifacts)), signal)
    const row = await this.#save(order, locked, key, assembled)
    await this.#pull(row, { journal, signal })
  }

  /** pip is part of an environment, as `venv` has it: where the lock has none, it is the builder's. */
  async #seeded(locked: Locked): Promise<Locked> {
    if (locked.lock.artifacts.some(({ name }) => name === 'pip')) return locked
    return { ...locked, seed: await this.#parts.seed() }
  }

  async #known(row: ImageRow, locked: Locked, waited: boolean, context: Context): Promise<EnsuredImage | undefined> {
    const layout = await this.#layout(row)
    if (layout === undefined) return undefined
    const account: CacheAccount = {
      verdict: waited ? 'joined' : 'hit',
      reason: waited ? 'another build was making this very image' : 'an image of this lock was there',
      packages: [],
      'packages-new': 0,
      'bytes-reused': sum(layout.layers.map(({ layer }) => layer.size)),
      'bytes-transferred': 0,
      image: row.digest,
      ...aboutLock(locked.lock),
    }
    const reference = await this.#pull(row, context)
    return { row, locked, reference, account }
  }

  async #make(order: ImageOrder, locked: Locked, key: string, context: Context): Promise<EnsuredImage> {
    const { journal, signal } = context
    const parent = await this.#parent(order, locked)
    const early = parent ? undefined : this.#early(order, locked, context)
    const made = await this.#fragments(order, locked, context, early)
    await early?.end()
    const { plan, assembled } = await journal.stage(
      'layers',
      async () => {
        const request = planRequest(locked, made.artifacts)
        return await this.#assembleOn(request, parent?.layout, locked, signal)
      },
      ({ plan, assembled }) => ({
        'bytes-reused': assembled.reused,
        'bytes-transferred': assembled.written,
        detail: describePlan(plan),
      }),
    )
    const row = await this.#save(order, locked, key, assembled)
    const reference = await this.#pull(row, context)
    for (const partial of early?.references ?? []) await this.#parts.removeImage(partial)
    const account = makeAccount(row, locked, made, parent?.lock)
    return { row, locked, reference, account, ...(plan.worn && { worn: plan.worn }) }
  }

  /** Fetch, transcode, build and compile what is not known. */
  async #fragments(order: ImageOrder, locked: Locked, { journal, signal }: Context, early?: EarlyPull): Promise<Made> {
    const { isPublic, isOperatorBase } = this.#parts
    const { base, probe } = locked
    const artifacts = installed(locked)
    const total = artifacts.length
    return await journal.stage(
      'packages',
      () =>
        makeFragments(this.#parts, {
          artifacts,
          base,
          probe,
          domain: order.domain,
          local: locked.seed ? withSeed(order.local, locked.seed) : order.local,
          isPublic,
          operatorBase: isOperatorBase(base.name),
          signal,
          report: (line) => journal.note(line),
          progress: (done) => journal.tell({ kind: 'progress', what: 'packages', done, total }),
          ...(early && { ready: (artifact) => early.add(artifact) }),
        }),
      (made) => ({
        'bytes-reused': made.bytesReused,
        'bytes-transferred': made.bytesTransferred,
        detail: `${made.fresh.size} of ${total} made`,
      }),
    )
  }

  /** What is to be laid out afresh is brought in parts, the first while the last are made. */
  #early(order: ImageOrder, locked: Locked, { journal, signal }: Context): EarlyPull {
    const { registry, bring } = this.#parts
    const pullFirst = async (artifacts: PlannedArtifact[]) => {
      const { manifest, mediaType } = await this.#assemble(locked, planFresh(planRequest(locked, artifacts)), signal)
      const repository = imageRepository(order.domain)
      const reference = registry.reference(repository, await registry.put(repository, manifest, mediaType))
      await bring(reference, { signal })
      return reference
    }
    const names = installed(locked).map(({ name }) => name)
    return new EarlyPull(names, pullFirst, (error) => journal.note(`pulling early failed: ${error}`))
  }

  /** On the parent's layers, or from nothing where their bytes are gone. */
  async #assembleOn(request: PlanRequest, parent: Layout | undefined, locked: Locked, signal: AbortSignal) {
    const plan = await this.#plan(request, parent)
    try {
      return { plan, assembled: await this.#assemble(locked, plan, signal) }
    } catch (error) {
      if (!(error instanceof BlobMissing) || plan.kind === 'fresh') throw error
      const fresh = planFresh(request)
      return { plan: fresh, assembled: await this.#assemble(locked, fresh, signal) }
    }
  }

  async #plan(request: PlanRequest, parent: Layout | undefined): Promise<Plan> {
    if (parent === undefined) return planFresh(request)
    return await planDelta(request, parent, (manifest) => readJson<Fragment>(this.#parts.blobs, manifest))
  }

  async #assemble({ base }: Locked, plan: Plan, signal: AbortSignal): Promise<AssembledImage> {
    const { blobs, layers, zstd } = this.#parts
    return await assembleImage({ base, plan, blobs, layers, zstd, signal })
  }

  async #save(order: ImageOrder, { lock, base, probe }: Locked, key: string, image: AssembledImage): Promise<ImageRow> {
    const { blobs, registry, database } = this.#parts
    const { digest: layout } = await blobs.put(layoutToJson(image.layout))
    const { digest: lockBlob } = await blobs.put(Buffer.from(JSON.stringify(lock)))
    const row: ImageRow = {
      domain: order.domain,
      key,
      digest: image.digest,
      layout,
      lock: lockBlob,
      ...lineageOf(order, base.digest),
      user: probe.user,
      created: Date.now(),
    }
    await registry.put(imageRepository(order.domain), image.manifest, image.mediaType)
    await database.write(({ db }) => saveImage(db, row))
    return row
  }

  /** The newest image that this one may be a delta on. */
  async #parent(order: ImageOrder, { base }: Locked): Promise<{ layout: Layout; lock: Lock } | undefined> {
    const { database, blobs } = this.#parts
    const row = await latestImage(database.state, readable(order.domain), lineageOf(order, base.digest))
    const layout = row && (await this.#layout(row))
    return row && layout && { layout, lock: await readJson<Lock>(blobs, row.lock) }
  }

  /** An image's layout; undefined where its bytes are gone or of an older format, so that it is made again. */
  async #layout(row: ImageRow): Promise<Layout | undefined> {
    const { blobs } = this.#parts
    const stored = await Promise.all([row.digest, row.layout, row.lock].map((digest) => blobs.size(digest)))
    if (stored.includes(undefined)) return undefined
    try {
      return layoutFromJson(JSON.stringify(await readJson(blobs, row.layout)))
    } catch (error) {
      if (error instanceof LayoutUnreadable) return undefined
      throw error
    }
  }

  async #pull({ domain, digest }: ImageRow, { journal, signal }: Context): Promise<string> {
    const reference = this.#parts.registry.reference(imageRepository(domain), digest)
    const onProgress: PullOptions['onProgress'] = ({ layersDone, layersTotal }) =>
      journal.tell({ kind: 'progress', what: 'layers', done: layersDone, total: layersTotal })
    await journal.stage(
      'pull',
      () => this.#parts.bring(reference, { signal, onProgress }),
      (pulled) => ({ detail: pulled ? 'brought to the node' : 'was on the node' }),
    )
    return reference
  }
}

/** The embedded registry's repository of a domain's images. */
export function imageRepository(domain: Domain): string {
  return `meadow/${domain}`
}

/** What goes into the image: the lock's packages, and pip. */
function installed({ lock, seed }: Locked): Artifact[] {
  return seed ? [...lock.artifacts, seed.artifact] : lock.artifacts
}

function withSeed(local: MakeOrder['local'], { artifact, file }: Seed): MakeOrder['local'] {
  const { filename, sha256, size = 0 } = artifact
  return new Map([...(local ?? []), [filename, { file, sha256, size }]])
}

function keyOfImage({ lock, base, seed }: Locked): string {
  return imageKey(lock.digest, base.digest, '', seed?.artifact.sha256 ?? '')
}

function planRequest({ base, probe }: Locked, artifacts: PlannedArtifact[]): PlanRequest {
  return { base, skeleton: skeletonEntries(probe), artifacts }
}

function lineageOf({ repository, branch, spec }: ImageOrder, base: Digest): Pick<ImageRow, 'lineage' | 'branch'> {
  return { lineage: lineageKey(repository, spec.path, base, ''), branch: branch ?? '' }
}

function makeAccount(row: ImageRow, locked: Locked, made: Made, before: Lock | undefined): CacheAccount {
  const { lock } = locked
  const total = installed(locked).length
  const verdict: Verdict = made.fresh.size === total && total > 0 ? 'miss' : 'partial'
  const { packages, sentence } = lockDiff(before, lock)
  return {
    verdict,
    reason: `${made.fresh.size} of ${total} packages had to be made: ${sentence}`,
    packages,
    'packages-new': made.fresh.size,
    'bytes-reused': made.bytesReused,
    'bytes-transferred': made.bytesTransferred,
    image: row.digest,
    ...aboutLock(lock),
  }
}

function aboutLock({ resolvedAt, unpinned }: Lock): Pick<CacheAccount, 'resolved' | 'unpinned'> {
  return { resolved: new Date(resolvedAt).toISOString(), unpinned }
}

function describePlan(plan: Plan): string {
  const clashes = plan.clashes.filter(({ identical }) => !identical)
  const said = clashes
    .slice(0, 3)
    .map(({ path, winner, losers }) => `${path} of ${winner} hides ${losers.join(', ')}'s`)
  const fresh = plan.parentUnfit ? `laid out fresh, as ${plan.parentUnfit}` : 'laid out fresh'
  return [plan.kind === 'delta' ? 'a delta on the last image' : fresh, ...said].join('; ')
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
