import { buffer } from 'node:stream/consumers'
import * as z from 'zod/mini'
import type { Blobs, Digest } from '../blobs/blobs.ts'
import type { BaseImage } from '../image/base.ts'
import { notFound } from './base-not-found.ts'
import type { StoredManifest } from './embedded.ts'
import { ImageConfig, ImageManifest } from './manifest.ts'

/** An image's config is JSON of a few kB. */
const MOST_CONFIG_BYTES = 8 * 1024 * 1024

/**
 * What a stored manifest and its config say of an image.
 * @throws {BaseNotFound} where they can't be read, or are of another platform
 */
export async function describeImage(
  { name, platform }: { name: string; platform: string },
  manifest: StoredManifest,
  blobs: Blobs,
): Promise<Omit<BaseImage, 'reference'>> {
  const { config, layers } = readManifest(name, manifest.bytes)
  const bytes = await buffer(await blobs.open(config.digest))
  const parsed = readDocument(name, 'config', ImageConfig, bytes)
  if (platformOf(parsed) !== platform) throw notFound(name, `it is for ${platformOf(parsed)}, not ${platform}`)
  const diffIds = parsed.rootfs.diff_ids
  if (diffIds.length !== layers.length) {
    throw notFound(name, `it has ${layers.length} layers, but its config speaks of ${diffIds.length}`)
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
  }
}

/**
 * The manifest of an image.
 * @throws {BaseNotFound} where it can't be read, or its config is no config
 */
export function readManifest(name: string, bytes: Buffer): z.infer<typeof ImageManifest> {
  const manifest = readDocument(name, 'manifest', ImageManifest, bytes)
  const { size } = manifest.config
  if (size > MOST_CONFIG_BYTES) throw notFound(name, `its config has ${size} bytes`)
  return manifest
}

/**
 * A JSON document of an image, checked.
 * @param what as errors call it
 * @throws {BaseNotFound}
 */
export function readDocument<T extends z.ZodMiniType>(
  name: string,
  what: string,
  schema: T,
  bytes: Buffer,
): z.infer<T> {
  try {
    return z.parse(schema, JSON.parse(bytes.toString()))
  } catch (error) {
    const why = error instanceof z.core.$ZodError ? z.prettifyError(error).replaceAll('\n', '') : String(error)
    throw notFound(name, `its ${what} can't be read: ${why}`, error)
  }
}

/** `linux/amd64`, `linux/arm/v7`; arm64 is always v8. */
export function platformOf(
  of: { os: string; architecture: string; variant?: string | null | undefined } | undefined,
): string {
  const variant = of?.architecture === 'arm64' ? undefined : of?.variant
  return [of?.os, of?.architecture, variant].filter(Boolean).join('/')
}
