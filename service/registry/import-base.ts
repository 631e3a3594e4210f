import { createHash } from 'node:crypto'
import { pipeline, Readable, Transform } from 'node:stream'
import { createGzip } from 'node:zlib'
import type { Blobs, Digest } from '../blobs/blobs.ts'
import { parseBaseName } from './base-name.ts'
import type { EmbeddedRegistry } from './embedded.ts'
import { OCI_CONFIG, OCI_GZIP_LAYER, OCI_MANIFEST } from './manifest.ts'

/** What an imported image says of itself. */
export interface ImportedConfig {
  /** `amd64`, `arm64` */
  architecture: string
  env: string[]
  /** What runs where nothing is said. */
  command: string[]
}

/**
 * Writes an image of one layer into the embedded registry and points its tag at it. The same tree and config give the
 * same digest.
 * @param name as users name it: `python:3.11-slim-bookworm`
 * @param rootfs an uncompressed tar of the whole file system
 */
export async function importBase(
  registry: EmbeddedRegistry,
  blobs: Blobs,
  name: string,
  rootfs: AsyncIterable<Uint8Array>,
  config: ImportedConfig,
): Promise<{ digest: Digest; size: number }> {
  const { repository, reference } = parseBaseName(name, '')
  const tar = createHash('sha256')
  const layer = await blobs.put(gzipped(rootfs, tar))
  const { digest, size } = await blobs.put(json(configOf(config, `sha256:${tar.digest('hex')}`)))
  const manifest = json({
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: { mediaType: OCI_CONFIG, digest, size },
    layers: [{ mediaType: OCI_GZIP_LAYER, digest: layer.digest, size: layer.size }],
  })
  return { digest: await registry.put(repository, manifest, OCI_MANIFEST, reference), size: layer.size }
}

/** Times are left out: they would make each import another image. */
function configOf({ architecture, env, command }: ImportedConfig, diffId: string) {
  return {
    architecture,
    os: 'linux',
    config: { Env: env, Cmd: command },
    rootfs: { type: 'layers', diff_ids: [diffId] },
  }
}

function gzipped(tar: AsyncIterable<Uint8Array>, hash: ReturnType<typeof createHash>): AsyncIterable<Uint8Array> {
  const hashed = new Transform({
    transform(chunk, _encoding, done) {
      hash.update(chunk)
      done(null, chunk)
    },
  })
  const gzip = createGzip({ level: 6 })
  // A failure anywhere destroys the last stream with it, and so reaches whoever reads that.
  return pipeline(Readable.from(tar), hashed, gzip, () => {})
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}
