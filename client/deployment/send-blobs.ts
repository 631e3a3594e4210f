import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { batchHeader } from '../../common/blob-batch.ts'
import { MOST_PIECE } from '../../common/chunking.ts'
import { MOST_INDEX_BYTES } from '../../common/piece-index.ts'
import type { Service } from '../service.ts'

/** Bytes and number of blobs of one upload. Every upload that went through is one that need not be done again. */
const BATCH_BYTES = 16 * 1024 * 1024
const BATCH_BLOBS = 1000
/** A larger blob is taken by itself only: it is no piece, index or list. */
const MOST_IN_BATCH = Math.max(MOST_PIECE, MOST_INDEX_BYTES)
/** Uploads under way at a time: while one is stored, the next is read. */
const AT_ONCE = 2

/** Something that can be sent: its digest leads to it. */
export type Sendable = ReadonlyMap<string, () => Promise<Uint8Array>>

/**
 * Sends some blobs, many in one request, but for large ones.
 * @returns how many bytes
 * @throws what reading one of them throws
 */
export async function sendBlobs(
  service: Service,
  digests: readonly string[],
  sendable: Sendable,
  signal?: AbortSignal,
): Promise<number> {
  let bytes = 0
  const batches = batched(digests, sendable)
  const sender = async () => {
    // A generator gives its batches one by one, whoever asks.
    for await (const batch of batches) {
      if (batch instanceof Blob) await service.uploadBatch(batch, signal)
      else await sendAlone(service, batch, signal)
      bytes += batch.size
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, sender))
  return bytes
}

interface LargeBlob {
  digest: string
  size: number
  content: Uint8Array
}

async function sendAlone(service: Service, { digest, content }: LargeBlob, signal?: AbortSignal): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'meadow-'))
  try {
    await writeFile(join(folder, 'blob'), content)
    await service.upload(digest, join(folder, 'blob'), signal)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function* batched(digests: readonly string[], sendable: Sendable): AsyncGenerator<Blob | LargeBlob> {
  let parts: Uint8Array<ArrayBuffer>[] = []
  let size = 0
  for (const digest of digests) {
    const content = await sendable.get(digest)?.()
    if (content === undefined) throw new Error(`the service wants ${digest}, which is nothing of what is mirrored`)
    if (content.length > MOST_IN_BATCH) {
      yield { digest, size: content.length, content }
      continue
    }
    parts.push(Buffer.from(batchHeader(digest, content.length)), Buffer.from(content))
    size += content.length
    if (size < BATCH_BYTES && parts.length < 2 * BATCH_BLOBS) continue
    yield new Blob(parts)
    parts = []
    size = 0
  }
  if (parts.length > 0) yield new Blob(parts)
}
