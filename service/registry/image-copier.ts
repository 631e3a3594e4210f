import type * as z from 'zod/mini'
import { isContainerImage } from '../../common/container-image.ts'
import type { Blobs, Digest } from '../blobs/blobs.ts'
import { notFound } from './base-not-found.ts'
import type { RegistryClient } from './client.ts'
import type { EmbeddedRegistry, StoredManifest } from './embedded.ts'
import { RegistryFailed } from './failed.ts'
import { platformOf, readDocument, readManifest } from './image-documents.ts'
import { ImageIndex, type ImageManifest, INDEX_TYPES, MANIFEST_TYPES } from './manifest.ts'

/** Blobs that are copied at a time. */
const COPIES = 3
/** Bytes, compressed, of an image that a user names. */
const MOST_IMAGE_BYTES = 64 * 2 ** 30

/** A registry that images are copied from. */
export interface Origin {
  client: RegistryClient
  host: string
  /** Whether the operator chose it. */
  trusted: boolean
}

/** An image that is looked for. */
export interface Wanted {
  /** As it was named. */
  name: string
  repository: string
  reference: string
  platform: string
  origin: Origin
  /** Its repository in the embedded registry. */
  home: string
}

/** Copies images of other registries into the embedded one. */
export class ImageCopier {
  readonly #embedded: EmbeddedRegistry
  readonly #blobs: Blobs

  constructor(embedded: EmbeddedRegistry, blobs: Blobs) {
    this.#embedded = embedded
    this.#blobs = blobs
  }

  /**
   * The manifest of the image for its platform.
   * @throws {BaseNotFound}
   */
  async manifest(wanted: Wanted, signal: AbortSignal): Promise<StoredManifest> {
    const { name, reference, platform } = wanted
    let manifest = await this.#ask(wanted, reference, signal)
    if (INDEX_TYPES.includes(manifest.mediaType)) {
      const { manifests } = readDocument(name, 'index', ImageIndex, manifest.bytes)
      const fitting = manifests.find((entry) => platformOf(entry.platform) === platform)
      if (fitting === undefined) throw notFound(name, `it is not made for ${platform}`)
      manifest = await this.#ask(wanted, fitting.digest, signal)
    }
    if (!MANIFEST_TYPES.includes(manifest.mediaType)) {
      throw notFound(name, `its manifest is of the type ${manifest.mediaType}, which is not known`)
    }
    return manifest
  }

  async #ask({ name, repository, origin }: Wanted, reference: string, signal: AbortSignal) {
    try {
      const manifest = await origin.client.manifest(repository, reference, signal)
      if (manifest !== undefined) return manifest
    } catch (error) {
      if (!(error instanceof RegistryFailed)) throw error
      throw notFound(name, error.message, error)
    }
    throw notFound(
      name,
      isContainerImage(name) ? `${origin.host} does not have it` : `neither this service nor ${origin.host} has it`,
    )
  }

  /**
   * Copies the config of an image, which says what the image is for.
   * @throws {BaseNotFound}
   */
  async config(wanted: Wanted, manifest: StoredManifest, signal: AbortSignal): Promise<void> {
    await this.#copy(wanted, 'config', [readManifest(wanted.name, manifest.bytes).config], signal)
  }

  /**
   * Copies the layers of an image that are not here yet.
   * @throws {BaseNotFound}
   */
  async layers(wanted: Wanted, manifest: StoredManifest, signal: AbortSignal): Promise<void> {
    const { name, origin } = wanted
    const { layers } = readManifest(name, manifest.bytes)
    const total = layers.reduce((sum, { size }) => sum + size, 0)
    if (!origin.trusted && total > MOST_IMAGE_BYTES) {
      throw notFound(name, `it has ${total} bytes, and ${MOST_IMAGE_BYTES} is the most`)
    }
    await this.#copy(wanted, 'layers', layers, signal)
  }

  async #copy(
    { name, repository, origin, home }: Wanted,
    what: string,
    blobs: z.infer<typeof ImageManifest>['layers'],
    signal: AbortSignal,
  ): Promise<void> {
    const missing = [...new Map(blobs.map((blob) => [blob.digest, blob])).values()]
    // Each copier takes what is next; one that fails stops the others.
    const failed = new AbortController()
    const either = AbortSignal.any([signal, failed.signal])
    const copier = async () => {
      for (let blob = missing.pop(); blob !== undefined; blob = missing.pop()) {
        if (await this.#has(origin, home, blob.digest)) continue
        const source = await origin.client.blob(repository, blob.digest, either)
        await this.#blobs.put(source, { digest: blob.digest, maxBytes: blob.size })
      }
    }
    try {
      await Promise.all(Array.from({ length: COPIES }, copier))
    } catch (error) {
      failed.abort(error)
      signal.throwIfAborted()
      throw notFound(name, `its ${what} can't be copied: ${(error as Error).message}`, error)
    }
  }

  /**
   * Whether a blob need not be copied. A manifest from anywhere may name what belongs to somebody else here: it gets
   * that by showing its bytes, not by knowing their digest.
   */
  async #has(origin: Origin, home: string, digest: Digest): Promise<boolean> {
    if (origin.trusted) return (await this.#blobs.size(digest)) !== undefined
    return (await this.#embedded.blob(home, digest)) !== undefined
  }
}
