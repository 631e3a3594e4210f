import { buffer } from 'node:stream/consumers'
import * as z from 'zod/mini'
import { isContainerImage } from '../../common/container-image.ts'
import type { Blobs, Digest } from '../blobs/blobs.ts'
import type { BaseImage } from '../image/base.ts'
import { extendedImage } from '../image/extended-image.ts'
import type { WrittenLayer } from '../image/layers.ts'
import { parseBaseName } from './base-name.ts'
import type { RegistryClient } from './client.ts'
import type { EmbeddedRegistry, StoredManifest } from './embedded.ts'
import { RegistryFailed } from './failed.ts'
import { ImageConfig, ImageIndex, ImageManifest, INDEX_TYPES, MANIFEST_TYPES, OCI_MANIFEST } from './manifest.ts'

/** Blobs that are copied at a time. */
const COPIES = 3
/** An image's config is JSON of a few kB. */
const MOST_CONFIG_BYTES = 8 * 1024 * 1024

/** A base image can't be had. */
export class BaseNotFound extends Error {
  override name = 'BaseNotFound'
  readonly hint: string
  /** Whether it may be had a little later: its registry is overloaded. */
  readonly retryable: boolean
  /** Whether its registry gave no answer that means something. */
  readonly unanswered: boolean
  constructor(message: string, hint: string, cause?: unknown) {
    super(message, { cause })
    this.hint = hint
    this.retryable = cause instanceof RegistryFailed && (cause.status === 429 || cause.status >= 500)
    this.unanswered = this.retryable || (cause instanceof RegistryFailed && cause.status === 0)
  }
}

const IMAGE_HINT =
  'Correct the name, or push the image for this platform; its registry must show it to anybody by https, from a public address, or be the one of MEADOW_BASE_REGISTRY.'
/** Bytes, compressed, of an image that a user names. */
const MOST_IMAGE_BYTES = 64 * 2 ** 30

/** A registry that images are copied from. */
interface Origin {
  client: RegistryClient
  host: string
  /** Whether the operator chose it. */
  trusted: boolean
}

/** An image that is looked for. */
interface Wanted {
  /** As it was named. */
  name: string
  repository: string
  reference: string
  platform: string
  origin: Origin
  /** Its repository in the embedded registry. */
  home: string
}

/** Base images: those in the embedded registry, and those of one other registry, which are copied into it once. */
export class Bases {
  readonly #embedded: EmbeddedRegistry
  readonly #blobs: Blobs
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
    const layers = [...base.layers, layer]
    const { config, manifest } = extendedImage(base, layers)
    await this.#blobs.put(config)
    const digest = await this.#embedded.put(repository, manifest, OCI_MANIFEST)
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
    const manifest = await this.#fetchManifest(wanted, signal)
    if ((await this.#embedded.get(home, manifest.digest)) === undefined) await this.#copyBlobs(wanted, manifest, signal)
    const base = await this.#describe(wanted, manifest)
    await this.#embedded.put(home, manifest.bytes, manifest.mediaType, tagOf(reference))
    return base
  }

  async #copyBlobs(
    { name, repository, origin, home }: Wanted,
    manifest: StoredManifest,
    signal: AbortSignal,
  ): Promise<void> {
    const { config, layers } = this.#read(name, 'manifest', ImageManifest, manifest.bytes)
    const total = layers.reduce((sum, { size }) => sum + size, config.size)
    if (!origin.trusted && total > MOST_IMAGE_BYTES) {
      throw this.#notFound(name, `it has ${total} bytes, and ${MOST_IMAGE_BYTES} is the most`)
    }
    const missing = [...new Map([config, ...layers].map((blob) => [blob.digest, blob])).values()]
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
      throw this.#notFound(name, `its layers can't be copied: ${(error as Error).message}`, error)
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

  async #fetchManifest(wanted: Wanted, signal: AbortSignal) {
    const { name, reference, platform } = wanted
    let manifest = await this.#ask(wanted, reference, signal)
    if (INDEX_TYPES.includes(manifest.mediaType)) {
      const { manifests } = this.#read(name, 'index', ImageIndex, manifest.bytes)
      const fitting = manifests.find((entry) => platformOf(entry.platform) === platform)
      if (fitting === undefined) throw this.#notFound(name, `it is not made for ${platform}`)
      manifest = await this.#ask(wanted, fitting.digest, signal)
    }
    if (!MANIFEST_TYPES.includes(manifest.mediaType)) {
      throw this.#notFound(name, `its manifest is of the type ${manifest.mediaType}, which is not known`)
    }
    return manifest
  }

  async #ask({ name, repository, origin }: Wanted, reference: string, signal: AbortSignal) {
    try {
      const manifest = await origin.client.manifest(repository, reference, signal)
      if (manifest !== undefined) return manifest
    } catch (error) {
      if (!(error instanceof RegistryFailed)) throw error
      throw this.#notFound(name, error.message, error)
    }
    throw this.#notFound(
      name,
      isContainerImage(name) ? `${origin.host} does not have it` : `neither this service nor ${origin.host} has it`,
    )
  }

  async #describe({ name, home, platform }: Wanted, manifest: StoredManifest): Promise<BaseImage> {
    const { config, layers } = this.#read(name, 'manifest', ImageManifest, manifest.bytes)
    if (config.size > MOST_CONFIG_BYTES) throw this.#notFound(name, `its config has ${config.size} bytes`)
    const bytes = await buffer(await this.#blobs.open(config.digest))
    const parsed = this.#read(name, 'config', ImageConfig, bytes)
    if (platformOf(parsed) !== platform) throw this.#notFound(name, `it is for ${platformOf(parsed)}, not ${platform}`)
    const diffIds = parsed.rootfs.diff_ids
    if (diffIds.length !== layers.length) {
      throw this.#notFound(name, `it has ${layers.length} layers, but its config speaks of ${diffIds.length}`)
    }
    return {
      name,
      digest: manifest.digest,
      layers: layers.map((layer, at) => ({ ...layer, diffId: diffIds[at] as Digest })),
      defaults: {
        env: parsed.config?.Env ?? [],
        user: parsed.config?.User ?? '',
        workdir: parsed.config?.WorkingDir ?? '',
      },
      platform,
      reference: this.#embedded.reference(home, manifest.digest),
    }
  }

  #read<T extends z.ZodMiniType>(name: string, what: string, schema: T, bytes: Buffer): z.infer<T> {
    try {
      return z.parse(schema, JSON.parse(bytes.toString()))
    } catch (error) {
      const why = error instanceof z.core.$ZodError ? z.prettifyError(error).replaceAll('\n', '') : String(error)
      throw this.#notFound(name, `its ${what} can't be read: ${why}`, error)
    }
  }

  #notFound(name: string, why: string, cause?: unknown): BaseNotFound {
    if (isContainerImage(name)) return new BaseNotFound(`container image ${name}: ${why}`, IMAGE_HINT, cause)
    const hint = `make a stand-in by: npm run base-image -- ${name}; or set MEADOW_BASE_REGISTRY to a registry that has it`
    return new BaseNotFound(`base image ${name}: ${why}`, hint, cause)
  }
}

/** `linux/amd64`, `linux/arm/v7`; arm64 is always v8. */
function platformOf(of: { os: string; architecture: string; variant?: string | null | undefined } | undefined): string {
  const variant = of?.architecture === 'arm64' ? undefined : of?.variant
  return [of?.os, of?.architecture, variant].filter(Boolean).join('/')
}

/** Where an image of another registry is kept: no name of ours begins with a host. */
function homeOf(host: string | undefined, repository: string): string {
  return host === undefined ? repository : `${host.replace(':', '/port-')}/${repository}`
}

/** The tag under which an image is kept. */
function tagOf(reference: string): string | undefined {
  return reference.includes(':') ? undefined : reference
}
