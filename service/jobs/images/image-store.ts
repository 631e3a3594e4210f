import type { Blobs } from '../../blobs/blobs.ts'
import { readJson, readJsonIfThere } from '../../blobs/read-json.ts'
import type { Database } from '../../database/database.ts'
import { useImage } from '../../database/image-uses.ts'
import { findImage, latestImage, saveImage } from '../../database/known.ts'
import type { ImageRow } from '../../database/schema.ts'
import type { AssembledImage } from '../../image/assemble.ts'
import { type Layout, LayoutUnreadable, layoutFromJson, layoutToJson } from '../../image/layout.ts'
import type { Lock } from '../../interpreter/lock.ts'
import { type Domain, readable } from '../../policy/domain.ts'
import type { EmbeddedRegistry } from '../../registry/embedded.ts'
import type { Locked } from '../environment/ensure-lock.ts'
import type { ImageOrder } from '../environment/image-order.ts'
import { keyOfImage, originOf } from './image-key.ts'

/** An image that was made before, with what is needed to build on it. */
export interface StoredImage {
  row: ImageRow
  layout: Layout
  lock: Lock
}

/** How often it is noted that an image is of use, in milliseconds. */
const NOTED_MS = 3_600_000

/** Images by their keys: rows in the database, manifests in the embedded registry, layouts and locks as blobs. */
export class ImageStore {
  readonly #database: Database
  readonly #blobs: Blobs
  readonly #registry: EmbeddedRegistry

  constructor(database: Database, blobs: Blobs, registry: EmbeddedRegistry) {
    this.#database = database
    this.#blobs = blobs
    this.#registry = registry
  }

  /** The image of a lock, if it is there. */
  async find(order: ImageOrder, locked: Locked): Promise<StoredImage | undefined> {
    const row = await findImage(this.#database.state, readable(order.domain), keyOfImage(locked))
    if (row) await this.use(row)
    return await this.#read(row)
  }

  /** Notes that an image is of use, and is not to be cleaned up soon. */
  async use(row: ImageRow): Promise<void> {
    const now = Date.now()
    if (row.used < now - NOTED_MS) await this.#database.write(({ db }) => useImage(db, row, now))
  }

  /** The newest image that a delta may be made on. */
  async parent(order: ImageOrder, locked: Locked): Promise<StoredImage | undefined> {
    const { lineage, branch } = originOf(order, locked)
    return await this.#read(await latestImage(this.#database.state, readable(order.domain), { lineage, branch }))
  }

  /** The lock of the newest image that was asked for in the same way, whatever its base and options. */
  async kin(order: ImageOrder, locked: Locked): Promise<Lock | undefined> {
    const { kin, branch } = originOf(order, locked)
    const row = await latestImage(this.#database.state, readable(order.domain), { kin, branch })
    return row && (await readJsonIfThere<Lock>(this.#blobs, row.lock))
  }

  /** Puts an image, whose blobs are stored, into the registry of its domain. Gives what nodes pull it by. */
  async publish(domain: Domain, { manifest, mediaType, plain }: AssembledImage): Promise<string> {
    const repository = imageRepository(domain)
    await Promise.all([manifest, plain.manifest].map((each) => this.#registry.put(repository, each, mediaType)))
    return this.#registry.reference(repository, plain.digest)
  }

  /** Remembers an image by its key. It is published apart from this: nodes need not wait for it. */
  async save(order: ImageOrder, locked: Locked, image: AssembledImage): Promise<ImageRow> {
    const { lock, probe } = locked
    const now = Date.now()
    const [{ digest: layout }, { digest: lockBlob }] = await Promise.all([
      this.#blobs.put(layoutToJson(image.layout)),
      this.#blobs.put(Buffer.from(JSON.stringify(lock))),
    ])
    const row: ImageRow = {
      domain: order.domain,
      key: keyOfImage(locked),
      digest: image.digest,
      plain: image.plain.digest,
      layout,
      lock: lockBlob,
      ...originOf(order, locked),
      user: probe.user,
      created: now,
      used: now,
    }
    await this.#database.write(({ db }) => saveImage(db, row))
    return row
  }

  /** How the engine knows an image. */
  reference({ domain, plain }: ImageRow): string {
    return this.#registry.reference(imageRepository(domain), plain)
  }

  /** Undefined where its bytes are gone, or its layout is of an older format: it is made again then. */
  async #read(row: ImageRow | undefined): Promise<StoredImage | undefined> {
    if (row === undefined) return undefined
    const sizes = await Promise.all(
      [row.digest, row.plain, row.layout, row.lock].map((digest) => this.#blobs.size(digest)),
    )
    if (sizes.includes(undefined)) return undefined
    try {
      const layout = layoutFromJson(JSON.stringify(await readJson(this.#blobs, row.layout)))
      return { row, layout, lock: await readJson<Lock>(this.#blobs, row.lock) }
    } catch (error) {
      if (error instanceof LayoutUnreadable) return undefined
      throw error
    }
  }
}

/** The embedded registry's repository of a domain's images. */
export function imageRepository(domain: Domain): string {
  return `meadow/${domain}`
}
