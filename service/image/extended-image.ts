import { createHash } from 'node:crypto'
import type { BaseImage, LayerDescriptor } from './base.ts'
import { CONFIG_TYPE, MANIFEST_TYPE, ociLayers } from './media-types.ts'

/**
 * Config and manifest of a base with more layers: its platform, user, variables and working directory, and nothing
 * else. The same arguments give the same bytes.
 */
export function extendedImage(base: BaseImage, layers: LayerDescriptor[]): { config: Buffer; manifest: Buffer } {
  const [os, architecture, variant] = base.platform.split('/')
  const { env, user, workdir } = base.defaults
  const config = json({
    architecture,
    os,
    ...(variant && { variant }),
    config: { Env: env, ...(user && { User: user }), ...(workdir && { WorkingDir: workdir }) },
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
  })
  const digest = `sha256:${createHash('sha256').update(config).digest('hex')}`
  const manifest = json({
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    config: { mediaType: CONFIG_TYPE, digest, size: config.length },
    layers: ociLayers({ ...base, layers }, true).map(({ mediaType, digest, size }) => ({ mediaType, digest, size })),
    annotations: { 'org.opencontainers.image.base.digest': base.digest },
  })
  return { config, manifest }
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}
