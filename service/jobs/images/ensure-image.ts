import type { CacheAccount } from '../../../common/contract.ts'
import { BlobMissing } from '../../blobs/blobs.ts'
import { readJson } from '../../blobs/read-json.ts'
import type { ImageRow } from '../../database/schema.ts'
import type { PullOptions } from '../../engine/engine.ts'
import { type AssembledImage, assembleImage } from '../../image/assemble.ts'
import type { Fragment, PlannedArtifact } from '../../image/fragment.ts'
import type { Plan } from '../../image/layer-plan.ts'
import type { LayerIndex } from '../../image/layers.ts'
import type { Layout } from '../../image/layout.ts'
import { type PlanRequest, planDelta, planFresh } from '../../image/plan.ts'
import { condaSkeleton, skeletonEntries } from '../../image/skeleton.ts'
import { pythonOf } from '../../interpreter/conda.ts'
import type { Artifact } from '../../interpreter/lock.ts'
import { type CondaGround, pythonPackages } from '../environment/conda-pip.ts'
import type { EnsureLock, Locked, Seed } from '../environment/ensure-lock.ts'
import type { ImageOrder } from '../environment/image-order.ts'
import type { Journal } from '../events/journal.ts'
import { makeFragments } from '../fragments/make-fragments.ts'
import type { Made, MakeOrder, MakeParts } from '../fragments/make-order.ts'
import { located } from '../fragments/package-failed.ts'
import { describePlan, knownAccount, madeAccount } from './account.ts'
import { askersOf } from './askers.ts'
import type { BringImage } from './bring-image.ts'
import { CondaImage } from './conda-image.ts'
import { EarlyPull } from './early-pull.ts'
import { installed, keyOfImage, localWheels } from './image-key.ts'
import type { ImageStore, StoredImage } from './image-store.ts'

/** What the pipeline needs besides what making fragments needs. */
export interface ImageParts extends MakeParts {
  lock: EnsureLock
  layers: LayerIndex
  store: ImageStore
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
    try {
      return await this.fromLock(order, await this.#seeded(locked), context)
    } catch (error) {
      throw located(error, order.spec)
    }
  }

  /** The steps behind the lock. One build an image at a time: who comes second finds it made. */
  async fromLock(order: ImageOrder, locked: Locked, context: Context): Promise<EnsuredImage> {
    const { queue, store } = this.#parts
    return await queue.run(`image ${order.domain} ${keyOfImage(locked)}`, async (waited) => {
      const known = await store.find(order, locked)
      if (known === undefined) return await this.#make(order, locked, context)
      const account = knownAccount(known, waited)
      return { row: known.row, locked, reference: await this.#pull(known.row, context), account }
    })
  }

  /** Lays a worn image out afresh and brings it, so that the next delta builds on few layers. */
  async renew(order: ImageOrder, locked: Locked, context: Context): Promise<void> {
    const made = locked.lock.conda
      ? await this.#condaFragments(order, locked, this.#conda(order, locked, context), context)
      : await this.#fragments(order, locked, context)
    const assembled = await this.#assembleFresh(locked, made.artifacts, context.signal)
    await this.#pull(await this.#parts.store.save(order, locked, assembled), context)
  }

  /**
   * pip is part of an environment, as `venv` has it: where neither lock nor image has one, it is the builder's. Conda
   * has it as a package.
   */
  async #seeded(locked: Locked): Promise<Locked> {
    const { lock, environment, probe } = locked
    if (environment === 'image' || lock.conda || lock.artifacts.some(({ name }) => name === 'pip')) return locked
    if (environment === 'venv on image' && probe.installed.some(({ name }) => name === 'pip')) return locked
    return { ...locked, seed: await this.#parts.seed() }
  }

  async #make(order: ImageOrder, locked: Locked, context: Context): Promise<EnsuredImage> {
    const parent = await this.#parts.store.parent(order, locked)
    if (locked.lock.conda) return await this.#makeConda(order, locked, parent, context)
    const early = parent ? undefined : this.#early(order, locked, context)
    let image: EnsuredImage | undefined
    try {
      const onFiles = early && { onFiles: early.add.bind(early) }
      const made = await this.#fragments(order, locked, context, onFiles)
      image = await this.#finish(order, locked, made, { account: parent, below: parent?.layout }, context, early)
      return image
    } finally {
      await early?.end()
      await this.#removeBut(image, early?.references ?? [])
    }
  }

  /** A conda environment brings its own Python, which must run before the image of all is there. */
  async #makeConda(
    order: ImageOrder,
    locked: Locked,
    parent: StoredImage | undefined,
    context: Context,
  ): Promise<EnsuredImage> {
    const conda = this.#conda(order, locked, context)
    let image: EnsuredImage | undefined
    try {
      const made = await this.#condaFragments(order, locked, conda, context, parent)
      const below = parent?.layout ?? conda.layout
      const whole = async () => {
        return (await this.#assembleOn(planRequest(locked, made.artifacts), below, locked, context.signal)).assembled
      }
      const active = await conda.activation(made.artifacts, whole)
      image = await this.#finish(order, { ...locked, active }, made, { account: parent, below }, context)
      return image
    } finally {
      await this.#removeBut(image, conda.references)
    }
  }

  #conda(order: ImageOrder, locked: Locked, context: Context): CondaImage {
    const fresh = (artifacts: PlannedArtifact[]) => this.#assembleFresh(locked, artifacts, context.signal)
    return new CondaImage(this.#parts, { order, locked }, fresh, context)
  }

  /** Packages of conda first: the Python among them compiles and builds what comes on top. */
  async #condaFragments(
    order: ImageOrder,
    locked: Locked,
    conda: CondaImage,
    context: Context,
    parent?: StoredImage,
  ): Promise<Made> {
    const made = await this.#condaFiles(order, locked, context)
    const compiler = conda.compiler(made.artifacts, parent)
    return await this.#fragments(order, locked, context, { conda: condaPackages(locked), compiler }, made)
  }

  async #condaFiles(order: ImageOrder, locked: Locked, context: Context): Promise<Made> {
    const artifacts = locked.lock.artifacts.filter(({ kind }) => kind === 'conda')
    return await this.#fragments(order, locked, context, {
      ...{ artifacts, conda: condaPackages(locked), filesOnly: true },
    })
  }

  /** What pip finds when it installs on top of conda packages. */
  async ground(order: ImageOrder, locked: Locked, context: Context): Promise<CondaGround> {
    const parent = await this.#parts.store.parent(order, locked)
    const made = await this.#condaFiles(order, locked, context)
    const compiler = this.#conda(order, locked, context).compiler(made.artifacts, parent)
    return { provided: pythonPackages(made.artifacts), base: await compiler.image() }
  }

  /** What is the same for all: layers, the image's name, bringing it, and the account of it. */
  async #finish(
    order: ImageOrder,
    locked: Locked,
    made: Made,
    { account: parent, below }: { account: StoredImage | undefined; below: Layout | undefined },
    context: Context,
    early?: EarlyPull,
  ): Promise<EnsuredImage> {
    const { plan, assembled } = await this.#layers(locked, made, below, context)
    const row = await this.#parts.store.save(order, locked, assembled)
    // Read while the image is pulled.
    const askers = askersOf(this.#parts.blobs, made.artifacts)
    askers.catch(() => {})
    const reference = await this.#pull(row, context, early)
    const account = madeAccount(row, locked.lock, made, { before: parent?.lock, askers: await askers })
    return { row, locked, reference, account, ...(plan.worn && { worn: plan.worn }) }
  }

  /** Images that were brought on the way are of no use once the whole one is there; its layers stay. */
  async #removeBut(image: EnsuredImage | undefined, references: string[]): Promise<void> {
    for (const one of references) if (one !== image?.reference) await this.#parts.removeImage(one)
  }

  async #layers(locked: Locked, made: Made, parent: Layout | undefined, { journal, signal }: Context) {
    return await journal.stage(
      'layers',
      () => this.#assembleOn(planRequest(locked, made.artifacts), parent, locked, signal),
      ({ plan, assembled }) => ({
        'bytes-reused': assembled.reused,
        'bytes-transferred': assembled.written,
        detail: describePlan(plan),
      }),
    )
  }

  /** Fetch, transcode, build and compile what is not known. */
  async #fragments(
    order: ImageOrder,
    locked: Locked,
    { journal, signal }: Context,
    special: Partial<MakeOrder> = {},
    before?: Made,
  ): Promise<Made> {
    const { isPublic, isOperatorBase } = this.#parts
    const { base, compileBase, probe } = locked
    const artifacts = special.artifacts ?? installed(locked)
    const total = artifacts.length
    return await journal.stage(
      'packages',
      () =>
        makeFragments(
          this.#parts,
          {
            artifacts,
            base,
            compileBase,
            probe,
            domain: order.domain,
            code: order.code,
            local: localWheels(order, locked),
            isPublic,
            operatorBase: isOperatorBase(compileBase.name),
            signal,
            report: (line) => journal.note(line),
            progress: (done) => journal.tell({ kind: 'progress', what: 'packages', done, total }),
            ...special,
          },
          before,
        ),
      (made) => ({
        'bytes-reused': made.bytesReused,
        'bytes-transferred': made.bytesTransferred,
        detail: `${made.fresh.size} of ${total} made`,
      }),
    )
  }

  /** What is to be laid out afresh is brought in parts, the first while the last are made. */
  #early(order: ImageOrder, locked: Locked, { journal, signal }: Context): EarlyPull {
    const { store, bring } = this.#parts
    const pullFirst = async (artifacts: PlannedArtifact[]) => {
      const image = await this.#assembleFresh(locked, artifacts, signal)
      const reference = await store.publish(order.domain, image)
      await bring(reference, { signal })
      return reference
    }
    const all = installed(locked).map(({ name, size = 0 }) => ({ name, weight: size }))
    return new EarlyPull(all, pullFirst, (error) => journal.note(`pulling early failed: ${error}`))
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

  async #assembleFresh(locked: Locked, artifacts: PlannedArtifact[], signal: AbortSignal): Promise<AssembledImage> {
    return await this.#assemble(locked, planFresh(planRequest(locked, artifacts)), signal)
  }

  async #assemble({ base, active, environment }: Locked, plan: Plan, signal: AbortSignal): Promise<AssembledImage> {
    const { blobs, layers, zstd } = this.#parts
    const overrides = active && { overrides: { active } }
    return await assembleImage({ base, plan, blobs, layers, zstd, signal, kind: environment, ...overrides })
  }

  async #pull(row: ImageRow, { journal, signal }: Context, early?: EarlyPull): Promise<string> {
    const { store, bring } = this.#parts
    const reference = store.reference(row)
    const onProgress: PullOptions['onProgress'] = ({ layersDone, layersTotal }) =>
      journal.tell({ kind: 'progress', what: 'layers', done: layersDone, total: layersTotal })
    await journal.stage(
      'pull',
      async () => {
        await early?.end()
        return (await bring(reference, { signal, onProgress })) || early !== undefined
      },
      (pulled) => ({ detail: pulled ? 'brought to the node' : 'was on the node' }),
    )
    return reference
  }
}

function condaPackages({ lock }: Locked): NonNullable<MakeOrder['conda']> {
  return { python: pythonOf(lock), subdir: lock.conda?.subdir ?? '' }
}

function planRequest({ base, probe, lock, environment }: Locked, artifacts: PlannedArtifact[]): PlanRequest {
  return { base, skeleton: lock.conda ? condaSkeleton() : skeletonEntries(probe, environment), artifacts }
}
