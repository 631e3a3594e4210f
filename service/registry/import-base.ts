import { createHash } from 'node:crypto'
import { pipeline, Readable, Transform } from 'node:stream'
import { createGzip } from 'node:zlib'
import type { Blobs, Digest } from '../blobs/blobs.ts'
import { descriptorOf, imageManifest } from '../image/image-manifest.ts'
import { LAYER_TYPE, MANIFEST_TYPE } from '../image/media-types.ts'
import { parseBaseName } from './base-name.ts'
import type { EmbeddedRegistry } from './embedded.ts'

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
  const stored = await blobs.put(Buffer.from(JSON.stringify(configOf(config, `sha256:${tar.digest('hex')}`))))
  const manifest = imageManifest(stored, [descriptorOf({ mediaType: LAYER_TYPE, ...layer })])
  return { digest: await registry.put(repository, manifest, MANIFEST_TYPE, reference), size: layer.size }
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
