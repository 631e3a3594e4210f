import type { Compiling } from '../../builder/builder.ts'
import type { AssembledImage } from '../../image/assemble.ts'
import type { BaseImage } from '../../image/base.ts'
import type { PlannedArtifact } from '../../image/fragment.ts'
import { keyOf } from '../../image/keys.ts'
import type { Layout } from '../../image/layout.ts'
import { ENVIRONMENT } from '../../image/skeleton.ts'
import { pythonOf } from '../../interpreter/conda.ts'
import { type CondaGround, pythonPackages } from '../environment/conda-pip.ts'
import type { Locked } from '../environment/ensure-lock.ts'
import type { ImageOrder } from '../environment/image-order.ts'
import { findKept, keep } from '../environment/kept.ts'
import { reporting, type WorkContext } from '../events/journal.ts'
import type { Made, MakeOrder } from '../fragments/make-order.ts'
import type { ImageParts } from './image-parts.ts'
import type { StoredImage } from './image-store.ts'
import { layOut, layOutFresh } from './lay-out.ts'
import { makePackages } from './packages.ts'

/** Grows whenever activating the same packages would give other variables. */
const ACTIVATION_FORMAT = 1
const PREFIX = `/${ENVIRONMENT}`
/** Below the environment: what packages set when it is activated. */
const ACTIVATION = /^opt\/env\/etc\/conda\/(?:activate\.d\/[^/]+\.sh|env_vars\.d\/[^/]+\.json)$/

/**
 * A conda environment while its image is made. Two things of it must run then: its own Python, to compile and build for
 * it, and the activation scripts of its packages. Both need an image before the image.
 */
export class CondaImage {
  readonly #parts: ImageParts
  readonly #order: ImageOrder
  readonly #locked: Locked
  readonly #context: WorkContext
  /** Images that were brought on the way, to be removed once the whole one is there. */
  readonly references: string[] = []
  /** Of the image that the environment's Python first ran in: the whole one is laid on it, so nothing is pulled twice. */
  layout: Layout | undefined

  constructor(parts: ImageParts, { order, locked }: { order: ImageOrder; locked: Locked }, context: WorkContext) {
    this.#parts = parts
    this.#order = order
    this.#locked = locked
    this.#context = context
  }

  /** All packages, those of conda first where the Python among them must compile and build what comes on top. */
  async packages(parent: StoredImage | undefined): Promise<Made> {
    const made = await this.#allPackages(parent)
    for (const { name, files } of made.artifacts) {
      if (!files.entries.some(({ path }) => path === `${ENVIRONMENT}/bin/.${name}-post-link.sh`)) continue
      this.#context.journal.note(`${name}: its post-link script is not run; what it would set up is not there`)
    }
    return made
  }

  async #allPackages(parent: StoredImage | undefined): Promise<Made> {
    const conda = this.#platform()
    const parents = this.#parentsPython(parent)
    if (parents !== undefined) return await this.#make({ conda, compiler: parents })
    const made = await this.#files()
    return await this.#make({ conda, compiler: this.#ownPython(made.artifacts) }, made)
  }

  /** What pip finds when it installs on top of the packages of conda. */
  async ground(parent: StoredImage | undefined): Promise<Omit<CondaGround, 'abandon'>> {
    const { artifacts } = await this.#files()
    const python = this.#parentsPython(parent) ?? this.#ownPython(artifacts)
    return { provided: pythonPackages(artifacts), base: await python.image() }
  }

  /** The files of the packages of conda. */
  async #files(): Promise<Made> {
    const artifacts = this.#locked.lock.artifacts.filter(({ kind }) => kind === 'conda')
    return await this.#make({ artifacts, conda: this.#platform(), filesOnly: true })
  }

  async #make(special: Partial<MakeOrder>, before?: Made): Promise<Made> {
    const of = { order: this.#order, locked: this.#locked }
    return await makePackages(this.#parts, of, this.#context, special, before)
  }

  #platform(): NonNullable<MakeOrder['conda']> {
    const { lock } = this.#locked
    return { python: pythonOf(lock), subdir: lock.conda?.subdir ?? '' }
  }

  /** The environment's Python in the parent's image, where that has the same. */
  #parentsPython(parent: StoredImage | undefined): Compiling | undefined {
    const { sha256 } = pythonOf(this.#locked.lock)
    if (parent?.lock.conda === undefined || pythonOf(parent.lock).sha256 !== sha256) return undefined
    const reference = this.#parts.store.reference(parent.row)
    return {
      id: `sha256:${sha256}`,
      image: async () => {
        await this.#parts.bring(reference, { signal: this.#context.signal })
        return { ...this.#locked.base, reference }
      },
    }
  }

  /** The environment's Python in an image of the packages of conda alone. */
  #ownPython(packages: PlannedArtifact[]): Compiling {
    let image: Promise<BaseImage> | undefined
    return {
      id: `sha256:${pythonOf(this.#locked.lock).sha256}`,
      image: () => {
        image ??= this.#image(packages)
        return image
      },
    }
  }

  async #image(packages: PlannedArtifact[]): Promise<BaseImage> {
    const image = await layOutFresh(this.#parts, this.#locked, packages, this.#context.signal)
    this.layout = image.layout
    return { ...this.#locked.base, reference: await this.#bring(image) }
  }

  async #bring(image: AssembledImage): Promise<string> {
    const { store, bring } = this.#parts
    const reference = await store.publish(this.#order.domain, image)
    this.references.push(reference)
    await bring(reference, { signal: this.#context.signal })
    return reference
  }

  /**
   * What activating the environment sets. Scripts are run once for the packages that they are of, in an image of all.
   * @param below what that image is laid on
   */
  async activation(artifacts: PlannedArtifact[], below: Layout | undefined): Promise<Record<string, string>> {
    const { lock, probe } = this.#locked
    const variables = { CONDA_PREFIX: PREFIX, CONDA_DEFAULT_ENV: PREFIX, CONDA_SHLVL: '1', ...lock.conda?.variables }
    const active = artifacts.filter(({ files }) => files.entries.some(({ path }) => ACTIVATION.test(path)))
    if (active.length === 0) return variables
    const identity = active.map(({ name, files }) => [name, files.digest])
    const key = keyOf('activation', ACTIVATION_FORMAT, identity, variables, this.#locked.base.digest)
    const { domain } = this.#order
    const known = await findKept<Record<string, string>>(this.#parts, domain, key)
    if (known !== undefined) return known
    const { assembled } = await layOut(this.#parts, this.#locked, artifacts, below, this.#context.signal)
    const env = await this.#parts.builder.activate(
      { image: await this.#bring(assembled), python: probe.executable, variables },
      reporting(this.#context),
    )
    await keep(this.#parts, domain, [key], env)
    return env
  }
}
