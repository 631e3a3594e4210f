import type { AssembledImage } from '../../image/assemble.ts'
import type { BaseImage } from '../../image/base.ts'
import type { PlannedArtifact } from '../../image/fragment.ts'
import { keyOf } from '../../image/keys.ts'
import type { Layout } from '../../image/layout.ts'
import { ENVIRONMENT } from '../../image/skeleton.ts'
import { pythonOf } from '../../interpreter/conda.ts'
import type { Locked } from '../environment/ensure-lock.ts'
import type { ImageOrder } from '../environment/image-order.ts'
import { findKept, keep } from '../environment/kept.ts'
import type { Journal } from '../events/journal.ts'
import type { Compiling } from '../fragments/make-order.ts'
import type { ImageParts } from './ensure-image.ts'
import type { StoredImage } from './image-store.ts'

/** Grows whenever activating the same packages would give other variables. */
const ACTIVATION_FORMAT = 1
const PREFIX = `/${ENVIRONMENT}`
/** Below the environment: what packages set when it is activated. */
const ACTIVATION = /^opt\/env\/etc\/conda\/(?:activate\.d\/[^/]+\.sh|env_vars\.d\/[^/]+\.json)$/

interface Context {
  journal: Journal
  signal: AbortSignal
}

/** Lays artifacts out from nothing. */
type AssembleFresh = (artifacts: PlannedArtifact[]) => Promise<AssembledImage>

/**
 * What of a conda environment must run while its image is made: its own Python, to compile and build for it, and the
 * activation scripts of its packages. Both need an image before the image.
 */
export class CondaImage {
  readonly #parts: ImageParts
  readonly #order: ImageOrder
  readonly #locked: Locked
  readonly #assemble: AssembleFresh
  readonly #context: Context
  /** Images that were brought on the way, to be removed once the whole one is there. */
  readonly references: string[] = []
  /** Of the image that the environment's Python first ran in: the whole one is laid on it, so nothing is pulled twice. */
  layout: Layout | undefined

  constructor(parts: ImageParts, of: { order: ImageOrder; locked: Locked }, assemble: AssembleFresh, context: Context) {
    this.#parts = parts
    this.#order = of.order
    this.#locked = of.locked
    this.#assemble = assemble
    this.#context = context
  }

  /** The environment's Python: in the parent's image, if that has the same, else in one of the conda packages alone. */
  compiler(packages: PlannedArtifact[], parent: StoredImage | undefined): Compiling {
    const python = pythonOf(this.#locked.lock)
    let image: Promise<BaseImage> | undefined
    return {
      id: `sha256:${python.sha256}`,
      image: () => {
        image ??= this.#image(packages, parent)
        return image
      },
    }
  }

  async #image(packages: PlannedArtifact[], parent: StoredImage | undefined): Promise<BaseImage> {
    const python = (artifacts: { name: string; files: { digest: string } }[] = []) =>
      artifacts.find(({ name }) => name === 'python')?.files.digest
    if (parent && python(parent.layout.artifacts) === python(packages)) {
      return { ...this.#locked.base, reference: this.#parts.store.reference(parent.row) }
    }
    const image = await this.#assemble(packages)
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
   * What activating the environment sets. Scripts are run once for the packages that they are of.
   * @param assemble makes the image that they run in
   */
  async activation(
    artifacts: PlannedArtifact[],
    assemble: () => Promise<AssembledImage>,
  ): Promise<Record<string, string>> {
    const { lock, probe } = this.#locked
    const variables = { CONDA_PREFIX: PREFIX, CONDA_DEFAULT_ENV: PREFIX, CONDA_SHLVL: '1', ...lock.conda?.variables }
    const active = artifacts.filter(({ files }) => files.entries.some(({ path }) => ACTIVATION.test(path)))
    if (active.length === 0) return variables
    const identity = active.map(({ name, files }) => [name, files.digest])
    const key = keyOf('activation', ACTIVATION_FORMAT, identity, variables, this.#locked.base.digest)
    const { domain } = this.#order
    const known = await findKept<Record<string, string>>(this.#parts, domain, key)
    if (known !== undefined) return known
    const { signal, journal } = this.#context
    const env = await this.#parts.builder.activate(
      { image: await this.#bring(await assemble()), python: probe.executable, variables },
      { signal, report: (line) => journal.note(line) },
    )
    await keep(this.#parts, domain, [key], env)
    return env
  }
}
