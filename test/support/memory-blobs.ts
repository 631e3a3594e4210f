import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { type BlobInfo, BlobMissing, type Blobs, type ByteRange, type Digest } from '../../service/blobs/blobs.ts'

/** Blobs in memory, for properties that make thousands of them: files are synced to the disk one by one. */
export class MemoryBlobs implements Blobs {
  readonly stored = new Map<Digest, Buffer>()

  async size(digest: Digest): Promise<number | undefined> {
    return this.stored.get(digest)?.length
  }

  async open(digest: Digest, range?: ByteRange): Promise<Readable> {
    const bytes = this.stored.get(digest)
    if (!bytes) throw new BlobMissing(digest)
    return Readable.from([bytes.subarray(range?.start, range?.end)])
  }

  async *parts(digest: Digest, ranges: Iterable<ByteRange>): AsyncGenerator<Buffer> {
    for (const range of ranges) yield await buffer(await this.open(digest, range))
  }

  async put(source: AsyncIterable<Uint8Array> | Uint8Array): Promise<BlobInfo> {
    const bytes = source instanceof Uint8Array ? Buffer.from(source) : await buffer(Readable.from(source))
    const digest: Digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
    this.stored.set(digest, bytes)
    return { digest, size: bytes.length }
  }

  async remove(digest: Digest): Promise<void> {
    this.stored.delete(digest)
  }
}
