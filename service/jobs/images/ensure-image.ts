import { NotEditable } from '../../builder/builder.ts'
import type { ImageRow } from '../../database/schema.ts'
import type { Layout } from '../../image/layout.ts'
import type { Before } from '../../interpreter/lock-diff.ts'
import type { CondaGround } from '../environment/conda-pip.ts'
import { keepAsCopy } from '../environment/copies.ts'
import type { Locked } from '../environment/ensure-lock.ts'
import { FirstFetches } from '../environment/first-fetches.ts'
import type { ImageOrder } from '../environment/image-order.ts'
import type { WorkContext } from '../events/journal.ts'
import type { Made } from '../fragments/make-order.ts'
import { located, PackageFailed } from '../fragments/package-failed.ts'
import { describePlan, type ImageAccount, knownAccount, madeAccount } from './account.ts'
import { askersOf } from './askers.ts'
import { bringNew, pullEarly, pullToNode } from './bring-new.ts'
import { CondaImage } from './conda-image.ts'
import type { EarlyPull } from './early-pull.ts'
import { keyOfImage } from './image-key.ts'
import type { ImageParts } from './image-parts.ts'
import type { StoredImage } from './image-store.ts'
import { type LaidOut, layOut, layOutFresh } from './lay-out.ts'
import { makePackages } from './packages.ts'
import { tellYanked } from './yanked.ts'

/** An image that is on this node. */
export interface EnsuredImage {
  row: ImageRow
  locked: Locked
  /** How the engine knows it. */
  reference: string
  account: ImageAccount
  /** Why it should be laid out fresh soon, where it should. */
  worn?: string
}

/** What an image comes after. */
interface Origin {
  /** The one that it may be made on. */
  parent: StoredImage | undefined
  /** What its account compares it with. */
  before: Before | undefined
}

/** Spec -> lock -> fragments -> layers -> image -> node. The only place where the pipeline's steps follow each other. */
export class ImagePipeline {
  readonly #parts: ImageParts

  constructor(parts: ImageParts) {
    this.#parts = parts
  }

  /** Gives the image of a spec: known, or made of what is known and what is not. */
  async ensure(order: ImageOrder, context: WorkContext): Promise<EnsuredImage> {
    await using fetched = new FirstFetches()
    const keeping = { ...order, fetched }
    try {
      return await this.#ensured(keeping, context)
    } catch (error) {
      throw await located(error, order.spec)
    }
  }

  /** Where a project turns out not to be editable, once more with a copy of it. */
  async #ensured(order: ImageOrder & { fetched: FirstFetches }, context: WorkContext): Promise<EnsuredImage> {
    const locked = await this.#parts.lock(order, context)
    try {
      return await this.fromLock(order, await this.#seeded(locked), context)
    } catch (error) {
      const why = error instanceof PackageFailed ? error.cause : error
      if (!(why instanceof NotEditable && (await keepAsCopy(this.#parts, order.domain, locked, why)))) throw error
      return await this.#ensured(order, context)
    }
  }

  /** The steps behind the lock. One build an image at a time: who comes second finds it made. */
  async fromLock(order: ImageOrder, locked: Locked, context: WorkContext): Promise<EnsuredImage> {
    const { queue, store } = this.#parts
    return await queue.run(`image ${order.domain} ${keyOfImage(locked)}`, async (waited) => {
      const known = await store.find(order, locked)
      if (known !== undefined) {
        const reference = store.reference(known.row)
        await pullToNode(this.#parts, reference, {}, context)
        return { row: known.row, locked, reference, account: knownAccount(known, waited) }
      }
      const origin = await this.#originOf(order, locked)
      if (locked.lock.conda) return await this.#makeConda(order, locked, origin, context)
      return await this.#makeVirtual(order, locked, origin, context)
    })
  }

  /** Lays a worn image out afresh and brings it, so that the next delta builds on few layers. */
  async renew(order: ImageOrder, locked: Locked, context: WorkContext): Promise<void> {
    const made = locked.lock.conda
      ? await this.#conda(order, locked, context).packages(undefined)
      : await makePackages(this.#parts, { order, locked }, context)
    const assembled = await layOutFresh(this.#parts, locked, made.artifacts, context.signal)
    await bringNew(this.#parts, { order, locked }, assembled, context)
  }

  /** What pip finds when it installs on top of conda packages. */
  async ground(order: ImageOrder, locked: Locked, context: WorkContext): Promise<CondaGround> {
    const conda = this.#conda(order, locked, context)
    const ground = await conda.ground(await this.#parts.store.parent(order, locked))
    return { ...ground, abandon: () => this.#removeBut(undefined, conda.references) }
  }

  async #originOf(order: ImageOrder, locked: Locked): Promise<Origin> {
    const { store } = this.#parts
    const parent = await store.parent(order, locked)
    if (parent) return { parent, before: { lock: parent.lock, alike: true } }
    const kin = await store.kin(order, locked)
    return { parent, before: kin && { lock: kin, alike: false } }
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

  async #makeVirtual(
    order: ImageOrder,
    locked: Locked,
    { parent, before }: Origin,
    context: WorkContext,
  ): Promise<EnsuredImage> {
    const early = parent ? undefined : pullEarly(this.#parts, { order, locked }, context)
    let image: EnsuredImage | undefined
    try {
      const told = early && { onFiles: early.add.bind(early), onWhole: early.addWhole.bind(early) }
      const made = await makePackages(this.#parts, { order, locked }, context, told)
      image = await this.#finish(order, locked, made, { before, below: parent?.layout }, context, early)
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
    { parent, before }: Origin,
    context: WorkContext,
  ): Promise<EnsuredImage> {
    const conda = this.#conda(order, locked, context)
    let image: EnsuredImage | undefined
    try {
      const made = await conda.packages(parent)
      const below = parent?.layout ?? conda.layout
      const active = await conda.activation(made.artifacts, below)
      image = await this.#finish(order, { ...locked, active }, made, { before, below }, context)
      return image
    } finally {
      await this.#removeBut(image, conda.references)
    }
  }

  #conda(order: ImageOrder, locked: Locked, context: WorkContext): CondaImage {
    return new CondaImage(this.#parts, { order, locked }, context)
  }

  /** What is the same for all: layers, the image's name, bringing it, and the account of it. */
  async #finish(
    order: ImageOrder,
    locked: Locked,
    made: Made,
    { before, below }: { before: Before | undefined; below: Layout | undefined },
    context: WorkContext,
    early?: EarlyPull,
  ): Promise<EnsuredImage> {
    // Asked now: all that is left to do is the engine's, more or less.
    const yanked = tellYanked(this.#parts.builder, { order, locked, before: before?.lock }, context)
    try {
      const { plan, assembled } = await this.#layers(locked, made, below, context)
      // Read while the image is pulled.
      const askers = askersOf(this.#parts.blobs, made.artifacts)
      askers.catch(() => {})
      const { row, reference } = await bringNew(this.#parts, { order, locked }, assembled, context, early)
      const account = madeAccount(row, locked.lock, made, { before, askers: await askers })
      return { row, locked, reference, account, ...(plan.worn && { worn: plan.worn }) }
    } finally {
      await yanked
    }
  }

  /** Images that were brought on the way are of no use once the whole one is there; its layers stay. */
  async #removeBut(image: EnsuredImage | undefined, references: string[]): Promise<void> {
    for (const one of references) if (one !== image?.reference) await this.#parts.removeImage(one)
  }

  async #layers(
    locked: Locked,
    { artifacts }: Made,
    below: Layout | undefined,
    { journal, signal }: WorkContext,
  ): Promise<LaidOut> {
    return await journal.stage(
      'layers',
      () => layOut(this.#parts, locked, artifacts, below, signal),
      ({ plan, assembled }) => ({
        'bytes-reused': assembled.reused,
        'bytes-transferred': assembled.written,
        detail: describePlan(plan),
      }),
    )
  }
}
