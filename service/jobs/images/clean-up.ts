import type { Blobs, Digest } from '../../blobs/blobs.ts'
import type { Database } from '../../database/database.ts'
import {
  dropImage,
  dropLayers,
  forgetLeftover,
  hasLayer,
  leftoversBefore,
  unusedImages,
} from '../../database/image-uses.ts'
import type { EmbeddedRegistry } from '../../registry/embedded.ts'
import { imageRepository } from './image-store.ts'

const EVERY_MS = 3_600_000
/** A build that found a layer before it was forgotten has put it into a manifest by then. */
const GRACE_MS = 3_600_000
/** Images of one round; the others wait for the next. */
const MOST = 100

export interface CleanUpParts {
  database: Database
  blobs: Blobs
  registry: EmbeddedRegistry
  /** Removes an image from the node, when no container uses it any more. */
  removeImage: (reference: string) => Promise<void>
  /** Milliseconds that an image is kept without being of use. */
  lifetime: number
  log: (line: string) => void
}

/**
 * Removes images that no build and no run has used for long: from the node, from the registry, and layers that only they
 * had. What they were made of stays, so that one that is wanted again is soon there.
 */
export async function cleanUp(parts: CleanUpParts, now: number): Promise<void> {
  const { database, registry, removeImage, lifetime, log } = parts
  await removeLeftovers(parts, now)
  const since = now - lifetime
  const dropped: Dropped[] = []
  for (const image of await unusedImages(database.state, since, MOST)) {
    const repository = imageRepository(image.domain)
    const layers = await Promise.all([image.digest, image.plain].map((each) => registry.storedBy(repository, each)))
    const isDropped = await database.write(({ db }) => dropImage(db, image, repository, since))
    if (isDropped) dropped.push({ reference: registry.reference(repository, image.plain), layers: layers.flat() })
  }
  if (dropped.length === 0) return
  const others = await registry.stored()
  const own = [...new Set(dropped.flatMap(({ layers }) => layers))].filter((digest) => !others.has(digest))
  if (own.length > 0) await database.write(({ db }) => dropLayers(db, own, now))
  for (const { reference } of dropped) {
    await removeImage(reference).catch((error: unknown) => log(`${reference} stays on the node for now: ${error}`))
  }
  log(`images that nobody had used for long were removed: ${dropped.length}`)
}

interface Dropped {
  reference: string
  layers: Digest[]
}

/** Cleans up at once and then every hour. Returns the way to stop, which waits for what is under way. */
export function keepClean(parts: CleanUpParts): () => Promise<void> {
  let round = Promise.resolve()
  const go = () => {
    round = round
      .then(() => cleanUp(parts, Date.now()))
      .catch((error: unknown) => parts.log(`images could not be cleaned up; it is tried again: ${error}`))
  }
  go()
  const timer = setInterval(go, EVERY_MS).unref()
  return async () => {
    clearInterval(timer)
    await round
  }
}

async function removeLeftovers({ database, blobs, registry }: CleanUpParts, now: number): Promise<void> {
  const due = await leftoversBefore(database.state, now - GRACE_MS)
  if (due.length === 0) return
  const listed = await registry.stored()
  for (const digest of due) {
    if (!listed.has(digest) && !(await hasLayer(database.state, digest))) await blobs.remove(digest)
    await database.write(({ db }) => forgetLeftover(db, digest))
  }
}
