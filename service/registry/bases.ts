import { isContainerImage } from '../../common/container-image.ts'
import type { Blobs } from '../blobs/blobs.ts'
import type { BaseImage } from '../image/base.ts'
import { imageConfig } from '../image/image-config.ts'
import { descriptorOf, imageManifest } from '../image/image-manifest.ts'
import type { WrittenLayer } from '../image/layers.ts'
import { MANIFEST_TYPE, ociLayers } from '../image/media-types.ts'
import { parseBaseName } from './base-name.ts'
import { BaseNotFound } from './base-not-found.ts'
import type { RegistryClient } from './client.ts'
import type { EmbeddedRegistry, StoredManifest } from './embedded.ts'
import { ImageCopier, type Origin, type Wanted } from './image-copier.ts'
import { describeImage } from './image-documents.ts'

/** Base images: those in the embedded registry, and those of one other registry, which are copied into it once. */
export class Bases {
  readonly #embedded: EmbeddedRegistry
  readonly #blobs: Blobs
  readonly #copier: ImageCopier
  readonly #configured: Origin
  readonly #open: (host: string) => RegistryClient
  readonly #others = new Map<string, Origin>()

  /**
   * @param host of the other registry (`MEADOW_BASE_REGISTRY`), which names may begin with
   * @param open connects to the registries that users name by `docker://`, to public addresses only
   */
  constructor(
    embedded: EmbeddedRegistry,
    blobs: Blobs,
    upstream: RegistryClient,
    host: string,
    open: (host: string) => RegistryClient,
  ) {
    this.#embedded = embedded
    this.#blobs = blobs
    this.#copier = new ImageCopier(embedded, blobs)
    this.#configured = { client: upstream, host, trusted: true }
    this.#open = open
  }

  /**
   * A base image for a platform (`linux/amd64`), with all of its blobs in the embedded registry. What a tag of an
   * operator's base meant once, it means from then on; the tag of a `docker://` image is asked for each time.
   * @param note is told where the registry of such an image does not answer and the one of before is taken
   * @throws {BaseNotFound} with the way to get one
   */
  async resolve(
    name: string,
    platform: string,
    signal: AbortSignal,
    note: (text: string) => void = () => {},
  ): Promise<BaseImage> {
    const { host, repository, reference } = parseBaseName(name, this.#configured.host)
    const wanted = {
      name,
      repository,
      reference,
      platform,
      origin: this.#originOf(host),
      home: homeOf(host, repository),
    }
    const stored = await this.#embedded.get(wanted.home, tagOf(reference) ?? reference)
    if (stored !== undefined && (!isContainerImage(name) || reference.includes(':'))) {
      return await this.#describe(wanted, stored)
    }
    try {
      return await this.#bring(wanted, signal)
    } catch (error) {
      signal.throwIfAborted()
      if (stored === undefined || !(error instanceof BaseNotFound && error.unanswered)) throw error
      note(`${error.message}; the image that it gave before is taken: ${stored.digest}`)
      return await this.#describe(wanted, stored)
    }
  }

  /** A base with one more layer, in a repository of the embedded registry. */
  async extend(base: BaseImage, layer: WrittenLayer, repository: string): Promise<BaseImage> {
    const config = await this.#blobs.put(imageConfig(base, [{ title: 'additional software', layer }], {}, 'image'))
    const layers = [...base.layers, layer]
    // Whether the engine reads its layers is asked where an image is assembled on them.
    const manifest = imageManifest(config, ociLayers({ ...base, layers }, true).map(descriptorOf), base.digest)
    const digest = await this.#embedded.put(repository, manifest, MANIFEST_TYPE)
    return { ...base, digest, layers, reference: this.#embedded.reference(repository, digest) }
  }

  #originOf(host: string | undefined): Origin {
    if (host === undefined) return this.#configured
    const origin = this.#others.get(host) ?? { client: this.#open(host), host, trusted: false }
    this.#others.set(host, origin)
    return origin
  }

  async #bring(wanted: Wanted, signal: AbortSignal): Promise<BaseImage> {
    const { home, reference } = wanted
    const manifest = await this.#copier.manifest(wanted, signal)
    if ((await this.#embedded.get(home, manifest.digest)) === undefined) {
      // What it is for is known before the many bytes of its layers are here.
      await this.#copier.config(wanted, manifest, signal)
      await this.#describe(wanted, manifest)
      await this.#copier.layers(wanted, manifest, signal)
    }
    const base = await this.#describe(wanted, manifest)
    await this.#embedded.put(home, manifest.bytes, manifest.mediaType, tagOf(reference))
    return base
  }

  async #describe(wanted: Wanted, manifest: StoredManifest): Promise<BaseImage> {
    const image = await describeImage(wanted, manifest, this.#blobs)
    return { ...image, reference: this.#embedded.reference(wanted.home, manifest.digest) }
  }
}

/** Where an image of another registry is kept: no name of ours begins with a host. */
function homeOf(host: string | undefined, repository: string): string {
  return host === undefined ? repository : `${host.replace(':', '/port-')}/${repository}`
}

/** The tag under which an image is kept. */
function tagOf(reference: string): string | undefined {
  return reference.includes(':') ? undefined : reference
}
