import { createHash, type Hash } from 'node:crypto'
import { once } from 'node:events'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { TAR_BLOCK, tarHeader, tarPadding } from '../../common/tar.ts'
import { BlobMissing, type Blobs } from '../blobs/blobs.ts'
import type { LayerDescriptor } from './base.ts'
import type { Fragment } from './fragment.ts'
import { END_MEMBER, gzipMember } from './gzip.ts'
import type { NewLayer } from './layer-plan.ts'
import { LAYER_TYPE } from './media-types.ts'

/** Bytes that are hashed at a time, a millisecond of the event loop, and bytes that may wait to be inflated. */
const INFLATE = { chunkSize: 1 << 20, highWaterMark: 1 << 20 }

/** A layer that was made here. */
export type WrittenLayer = LayerDescriptor & { tarSize: number }

/** Where layers that were once written are remembered, by their keys. */
export interface LayerIndex {
  find(key: string): Promise<WrittenLayer | undefined>
  save(key: string, descriptor: WrittenLayer): Promise<void>
}

/** The bytes of fragments are not what their manifests say. */
export class LayerBroken extends Error {
  override name = 'LayerBroken'
  readonly hint = 'stored blobs are damaged: check the disk, and empty the data folder to have everything made anew'
}

/**
 * Gives a layer's descriptor, and writes its blob where it is not known yet.
 * @throws {BlobMissing} when a fragment is no longer stored
 * @throws {LayerBroken} when a fragment's bytes are not what its manifest says
 */
export async function ensureLayer(
  layer: NewLayer,
  blobs: Blobs,
  index: LayerIndex,
  signal?: AbortSignal,
): Promise<{ descriptor: WrittenLayer; written: boolean }> {
  if (layer.whole) return { descriptor: await wholeFragment(layer.whole, blobs), written: false }
  const known = await index.find(layer.key)
  if (known && (await blobs.size(known.digest)) === known.size) return { descriptor: known, written: false }
  const descriptor = await writeLayer(layer, blobs, signal)
  await index.save(layer.key, descriptor)
  return { descriptor, written: true }
}

async function wholeFragment(fragment: Fragment, blobs: Blobs): Promise<WrittenLayer> {
  const { digest, diffId, size, tarSize } = fragment
  if ((await blobs.size(digest)) === undefined) throw new BlobMissing(digest)
  return { digest, diffId, size, mediaType: LAYER_TYPE, tarSize }
}

async function writeLayer(layer: NewLayer, blobs: Blobs, signal?: AbortSignal): Promise<WrittenLayer> {
  const tar = { hash: createHash('sha256'), size: 0 }
  const { digest, size } = await blobs.put(inflating(layerBytes(layer, blobs, signal), tar, layer.title))
  return { digest, diffId: `sha256:${tar.hash.digest('hex')}`, size, mediaType: LAYER_TYPE, tarSize: tar.size }
}

/** The layer as it is stored. What comes from fragments is copied, never compressed again. */
async function* layerBytes(layer: NewLayer, blobs: Blobs, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  yield gzipMember(
    Buffer.concat(
      layer.own.flatMap(({ content = '', ...entry }) => [
        tarHeader(entry),
        Buffer.from(content),
        tarPadding(entry.size),
      ]),
    ),
  )
  let copied = 0
  for (const { fragment, runs } of layer.parts) {
    for await (const chunk of blobs.parts(fragment.digest, runs)) {
      signal?.throwIfAborted()
      copied += chunk.length
      yield chunk
    }
  }
  if (copied !== layer.bytes) throw new LayerBroken(`${layer.title}: ${copied} bytes where ${layer.bytes} should be`)
  yield END_MEMBER
}

/**
 * Passes gzip members on, and hashes and counts what they inflate to. Inflating happens in the thread pool. Hashing in
 * threads of our own was tried: handing the bytes over costs more than it saves.
 */
async function* inflating(
  source: AsyncIterable<Uint8Array>,
  tar: { hash: Hash; size: number },
  title: string,
): AsyncGenerator<Uint8Array> {
  const gunzip = createGunzip(INFLATE)
  const hashed = pipeline(gunzip, async (chunks) => {
    for await (const chunk of chunks) {
      tar.hash.update(chunk)
      tar.size += chunk.length
    }
  }).catch((error: unknown) => {
    throw new LayerBroken(`${title}: ${error instanceof Error ? error.message : error}`, { cause: error })
  })
  hashed.catch(() => {}) // Thrown below; this only keeps it from being unhandled until then.
  try {
    for await (const chunk of source) {
      if (!gunzip.write(chunk)) await Promise.race([once(gunzip, 'drain').catch(() => hashed), hashed])
      yield chunk
    }
    gunzip.end()
    await hashed
    if (tar.size % TAR_BLOCK !== 0) throw new LayerBroken(`${title}: ${tar.size} bytes are no whole tar`)
  } finally {
    gunzip.destroy()
  }
}
