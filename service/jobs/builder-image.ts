import { type BootstrapWheel, BUILDER_REQUIREMENTS, bootstrapLock } from '../builder/bootstrap.ts'
import type { StepOptions } from '../builder/builder.ts'
import { findLock, saveLock } from '../database/known.ts'
import type { BaseImage } from '../image/base.ts'
import { keyOf } from '../image/keys.ts'
import type { Lock } from '../interpreter/lock.ts'
import { GLOBAL } from '../policy/domain.ts'
import type { ImageOrder, ImagePipeline } from './ensure-image.ts'
import { baseAndProbe, type LockParts } from './ensure-lock.ts'
import type { Journal } from './journal.ts'
import { readJson } from './make-fragments.ts'

/** What making the builder image needs. */
export interface BuilderImageParts extends Pick<LockParts, 'database' | 'blobs' | 'builder' | 'resolveBase'> {
  images: ImagePipeline
  /** Fetches the builder's wheels into a folder of the node. */
  bootstrap: (base: BaseImage, options: StepOptions) => Promise<BootstrapWheel[]>
  /** Name of its base: Python 3.11 or later with pip. */
  base: string
  journal: Journal
}

/**
 * Gives the reference of the builder image on this node. Made at the first call, like any environment, of wheels that
 * the base's own pip fetched once; a failure is not remembered.
 */
export function builderImage(parts: BuilderImageParts): () => Promise<string> {
  let made: Promise<string> | undefined
  return () => {
    made ??= make(parts).catch((error: unknown) => {
      made = undefined
      throw error
    })
    return made
  }
}

async function make(parts: BuilderImageParts): Promise<string> {
  const { database, blobs, images, journal } = parts
  // Everybody waits for it, so nobody's own end may end it; every step of it has a time limit.
  const { signal } = new AbortController()
  const { base, probe } = await baseAndProbe(parts, parts.base, journal, signal)
  const order: ImageOrder = {
    domain: GLOBAL,
    repository: GLOBAL,
    branch: 'builder',
    spec: { format: 'requirements.txt', path: 'requirements.txt', files: {} },
  }
  const key = keyOf('builder', BUILDER_REQUIREMENTS, base.digest)
  const known = await findLock(database.state, [GLOBAL], key)
  if (known !== undefined && (await blobs.size(known.lock)) !== undefined) {
    const lock = await readJson<Lock>(blobs, known.lock)
    const image = await images.known(order, { lock, base, probe }, { journal, signal })
    if (image !== undefined) return image.reference
  }
  journal.note('making the builder image: this happens once')
  const wheels = await parts.bootstrap(base, { signal, report: (line) => journal.note(line) })
  const lock = bootstrapLock(wheels)
  const local = new Map(wheels.map((wheel) => [wheel.filename, wheel]))
  const { reference } = await images.fromLock({ ...order, local }, { lock, base, probe }, { journal, signal })
  const { digest } = await blobs.put(Buffer.from(JSON.stringify(lock)))
  await database.write(({ db }) => saveLock(db, { domain: GLOBAL, key, lock: digest, created: Date.now() }))
  return reference
}
