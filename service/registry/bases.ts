import { buffer } from 'node:stream/consumers'
import * as z from 'zod/mini'
import type { Blobs, Digest } from '../blobs/blobs.ts'
import type { BaseImage } from '../image/base.ts'
import { parseBaseName } from './base-name.ts'
import type { RegistryClient } from './client.ts'
import type { EmbeddedRegistry, StoredManifest } from './embedded.ts'
import { RegistryFailed } from './failed.ts'
import { ImageConfig, ImageIndex, ImageManifest, INDEX_TYPES, MANIFEST_TYPES } from './manifest.ts'

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
  constructor(message: string, hint: string, cause?: unknown) {
    super(message, { cause })
    this.hint = hint
    this.retryable = cause instanceof RegistryFailed && (cause.status === 429 || cause.status >= 500)
  }
}

/** Base images: those in the embedded registry, and those of one other registry, which are copied into it once. */
export class Bases {
  readonly #embedded: EmbeddedRegistry
  readonly #blobs: Blobs
  readonly #upstream: RegistryClient
  readonly #host: string

  /** @param host of the other registry (`MEADOW_BASE_REGISTRY`), which names may begin with */
  constructor(embedded: EmbeddedRegistry, blobs: Blobs, upstream: RegistryClient, host: string) {
    this.#embedded = embedded
    this.#blobs = blobs
    this.#upstream = upstream
    this.#host = host
  }

  /**
   * A base image for a platform (`linux/amd64`), with all of its blobs in the embedded registry.
   * @throws {BaseNotFound} with the way to get one
   */
  async resolve(name: string, platform: string, signal: AbortSignal): Promise<BaseImage> {
    const { repository, reference } = parseBaseName(name, this.#host)
    const stored = await this.#embedded.get(repository, reference)
    if (stored !== undefined) return await this.#describe(name, repository, stored, platform)
    const manifest = await this.#fetchManifest(name, repository, reference, platform, signal)
    await this.#copyBlobs(name, repository, manifest, signal)
    const base = await this.#describe(name, repository, manifest, platform)
    await this.#embedded.put(repository, manifest.bytes, manifest.mediaType, tagOf(reference))
    return base
  }

  async #copyBlobs(name: string, repository: string, manifest: StoredManifest, signal: AbortSignal): Promise<void> {
    const { config, layers } = this.#read(name, 'manifest', ImageManifest, manifest.bytes)
    const missing = [...new Map([config, ...layers].map((blob) => [blob.digest, blob])).values()]
    // Each copier takes what is next; one that fails stops the others.
    const failed = new AbortController()
    const either = AbortSignal.any([signal, failed.signal])
    const copier = async () => {
      for (let blob = missing.pop(); blob !== undefined; blob = missing.pop()) {
        if ((await this.#blobs.size(blob.digest)) !== undefined) continue
        const source = await this.#upstream.blob(repository, blob.digest, either)
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

  async #fetchManifest(name: string, repository: string, reference: string, platform: string, signal: AbortSignal) {
    let manifest = await this.#ask(name, repository, reference, signal)
    if (INDEX_TYPES.includes(manifest.mediaType)) {
      const { manifests } = this.#read(name, 'index', ImageIndex, manifest.bytes)
      const fitting = manifests.find((entry) => platformOf(entry.platform) === platform)
      if (fitting === undefined) throw this.#notFound(name, `it is not made for ${platform}`)
      manifest = await this.#ask(name, repository, fitting.digest, signal)
    }
    if (!MANIFEST_TYPES.includes(manifest.mediaType)) {
      throw this.#notFound(name, `its manifest is of the type ${manifest.mediaType}, which is not known`)
    }
    return manifest
  }

  async #ask(name: string, repository: string, reference: string, signal: AbortSignal) {
    try {
      const manifest = await this.#upstream.manifest(repository, reference, signal)
      if (manifest !== undefined) return manifest
    } catch (error) {
      if (!(error instanceof RegistryFailed)) throw error
      throw this.#notFound(name, error.message, error)
    }
    throw this.#notFound(name, `neither this service nor ${this.#host} has it`)
  }

  async #describe(name: string, repository: string, manifest: StoredManifest, platform: string): Promise<BaseImage> {
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
      reference: this.#embedded.reference(repository, manifest.digest),
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
    const hint = `make a stand-in by: npm run base-image -- ${name}; or set MEADOW_BASE_REGISTRY to a registry that has it`
    return new BaseNotFound(`base image ${name}: ${why}`, hint, cause)
  }
}

/** `linux/amd64`, `linux/arm/v7`; arm64 is always v8. */
function platformOf(of: { os: string; architecture: string; variant?: string | null | undefined } | undefined): string {
  const variant = of?.architecture === 'arm64' ? undefined : of?.variant
  return [of?.os, of?.architecture, variant].filter(Boolean).join('/')
}

function tagOf(reference: string): string | undefined {
  return reference.includes(':') ? undefined : reference
}
