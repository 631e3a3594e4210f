import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { type BootstrapWheel, bootstrapLock, type ToolList } from '../../builder/bootstrap.ts'
import type { Report, StepOptions } from '../../builder/builder.ts'
import type { BaseImage } from '../../image/base.ts'
import { keyOf } from '../../image/keys.ts'
import type { Lock } from '../../interpreter/lock.ts'
import { GLOBAL } from '../../policy/domain.ts'
import { type BaseParts, baseAndProbe } from '../environment/ensure-base.ts'
import type { Locked, Seed } from '../environment/ensure-lock.ts'
import type { ImageOrder } from '../environment/image-order.ts'
import { findKept, keep } from '../environment/kept.ts'
import { type Journal, reporting } from '../events/journal.ts'
import type { ImagePipeline } from './ensure-image.ts'

/** What making an image of tools needs. */
export interface BuilderImageParts extends Pick<BaseParts, 'database' | 'blobs' | 'builder' | 'resolveBase'> {
  images: ImagePipeline
  /** What the image holds. */
  tools: ToolList
  /** Where its wheels lie, by their names. */
  folder: string
  /** Fetches them. */
  bootstrap: (base: BaseImage, tools: ToolList, folder: string, options: StepOptions) => Promise<BootstrapWheel[]>
  /** Name of its base: Python 3.11 or later with pip. */
  base: string
  journal: Journal
}

/**
 * The builder, or another image of our own tools: made at the first call, like any environment, of wheels that its
 * base's own pip fetched once.
 */
export class BuilderImage {
  readonly #parts: BuilderImageParts
  #wheels: Promise<Locked> | undefined
  #reference: Promise<string> | undefined

  constructor(parts: BuilderImageParts) {
    this.#parts = parts
  }

  /**
   * The image's reference on this node. A failure is not remembered.
   * @param report told where the image has to be made first
   */
  async reference(report?: Report): Promise<string> {
    this.#reference ??= this.#image(report).catch((error: unknown) => {
      this.#reference = undefined
      throw error
    })
    return await this.#reference
  }

  /** The pip among its wheels. */
  async seed(): Promise<Seed> {
    const { lock } = await this.#locked()
    const pip = lock.artifacts.find(({ name }) => name === 'pip')
    if (pip?.sha256 === undefined) throw new Error('the builder has no pip')
    return { artifact: { ...pip, sha256: pip.sha256 }, file: join(this.#parts.folder, pip.filename) }
  }

  async #image(report?: Report): Promise<string> {
    const { images, journal, folder, tools } = this.#parts
    const locked = await this.#locked(report)
    const files = locked.lock.artifacts.map(({ filename, sha256 = '', size = 0 }) => {
      return [filename, { file: join(folder, filename), sha256, size }] as const
    })
    const order: ImageOrder = {
      domain: GLOBAL,
      repository: GLOBAL,
      branch: tools.name,
      named: tools.file,
      spec: { format: 'requirements.txt', path: tools.file, files: {} },
      local: new Map(files),
    }
    // Everybody waits for it, so nobody's own end may end it; every step of it has a time limit.
    const { signal } = new AbortController()
    return (await images.fromLock(order, locked, { journal, signal })).reference
  }

  async #locked(report?: Report): Promise<Locked> {
    this.#wheels ??= this.#fetched(report).catch((error: unknown) => {
      this.#wheels = undefined
      throw error
    })
    return await this.#wheels
  }

  /** The lock of its wheels, and the wheels in their folder. */
  async #fetched(told?: Report): Promise<Locked> {
    const { journal, folder, tools } = this.#parts
    const { signal } = new AbortController()
    const { base, probe } = await baseAndProbe(this.#parts, this.#parts.base, { journal, signal })
    const of = { compileBase: base, probe, environment: 'venv' as const }
    const key = keyOf('builder', tools.requirements, base.digest)
    const known = await findKept<Lock>(this.#parts, GLOBAL, key)
    if (known !== undefined && (await allThere(folder, known))) return { lock: known, base, ...of }
    journal.note(`fetching the packages of the ${tools.name} image: this happens once`)
    told?.(`making the ${tools.name} image: this happens once`)
    const lock = bootstrapLock(await this.#parts.bootstrap(base, tools, folder, reporting({ journal, signal })), tools)
    await keep(this.#parts, GLOBAL, [key], lock)
    return { lock, base, ...of }
  }
}

async function allThere(folder: string, lock: Lock): Promise<boolean> {
  try {
    await Promise.all(lock.artifacts.map(({ filename }) => access(join(folder, filename))))
    return true
  } catch {
    return false
  }
}
