import { createHash } from 'node:crypto'
import { type FileHandle, mkdir, open, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import {
  type BlobExpectation,
  type BlobInfo,
  BlobMissing,
  BlobRefused,
  type Blobs,
  BlobsFull,
  type ByteRange,
  type Digest,
  digestOf,
  isDigest,
} from './blobs.ts'
import { syncFolder, TempFiles } from './temp-files.ts'

/** Bytes that are read at a time: the default is a quarter, and each costs a way through the thread pool. */
const READ = 256 * 1024

/**
 * Blobs as files of a folder, `sha256/ab/<hex>`. What a crash left unfinished is removed first; other processes may
 * use the folder at the same time.
 */
export async function openFileBlobs(folder: string): Promise<Blobs> {
  const all = join(folder, 'sha256')
  // All folders at once: a name in one that was made a moment ago would not be durable yet.
  const folders = Array.from({ length: 256 }, (_, byte) => join(all, byte.toString(16).padStart(2, '0')))
  await Promise.all(folders.map((path) => mkdir(path, { recursive: true, mode: 0o700 })))
  await syncFolder(all)
  const temps = await TempFiles.open(join(folder, 'temp'))
  return new FileBlobs(folder, temps)
}

class FileBlobs implements Blobs {
  readonly #folder: string
  readonly #temps: TempFiles

  constructor(folder: string, temps: TempFiles) {
    this.#folder = folder
    this.#temps = temps
  }

  async size(digest: Digest): Promise<number | undefined> {
    try {
      return (await stat(this.#path(digest))).size
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined
      throw error
    }
  }

  async open(digest: Digest, range?: ByteRange): Promise<Readable> {
    const file = await this.#file(digest)
    if (range === undefined) return file.createReadStream({ highWaterMark: READ })
    const { size } = await file.stat()
    const { start, end } = range
    if (isWithin(range, size) && start < end) return file.createReadStream({ highWaterMark: READ, start, end: end - 1 })
    await file.close()
    if (!isWithin(range, size)) throw outside(range, digest, size)
    return Readable.from([])
  }

  async *parts(digest: Digest, ranges: Iterable<ByteRange>): AsyncGenerator<Buffer, void, undefined> {
    await using file = await this.#file(digest)
    const { size } = await file.stat()
    for (const range of ranges) {
      if (!isWithin(range, size)) throw outside(range, digest, size)
      for (let at = range.start; at < range.end; ) {
        const room = Buffer.allocUnsafe(Math.min(READ, range.end - at))
        const { bytesRead } = await file.read(room, { position: at })
        if (bytesRead === 0) throw outside(range, digest, at)
        yield room.subarray(0, bytesRead)
        at += bytesRead
      }
    }
  }

  async #file(digest: Digest): Promise<FileHandle> {
    return await open(this.#path(digest)).catch((error: unknown) => {
      throw codeOf(error) === 'ENOENT' ? new BlobMissing(digest) : error
    })
  }

  async put(source: AsyncIterable<Uint8Array> | Uint8Array, expected: BlobExpectation = {}): Promise<BlobInfo> {
    if (source instanceof Uint8Array) {
      const info = { digest: digestOf(source), size: source.length }
      check(info, expected)
      // What is there is durable: the same document is often stored again.
      if ((await this.size(info.digest)) === info.size) return info
    }
    const temp = await this.#temps.create().catch(spaceError)
    try {
      const hash = createHash('sha256')
      let size = 0
      for await (const chunk of source instanceof Uint8Array ? [source] : source) {
        size += chunk.length
        checkSize(size, expected)
        hash.update(chunk)
        await temp.write(chunk).catch(spaceError)
      }
      const info: BlobInfo = { digest: `sha256:${hash.digest('hex')}`, size }
      check(info, expected)
      await temp.moveTo(this.#path(info.digest)).catch(spaceError)
      return info
    } finally {
      await temp.discard()
    }
  }

  async remove(digest: Digest): Promise<void> {
    await rm(this.#path(digest), { force: true })
  }

  #path(digest: Digest): string {
    // What is in the type may still have come from outside: a name must never lead elsewhere.
    if (!isDigest(digest)) throw new TypeError(`${JSON.stringify(digest)} is no digest`)
    const hex = digest.slice('sha256:'.length)
    return join(this.#folder, 'sha256', hex.slice(0, 2), hex)
  }
}

function isWithin({ start, end }: ByteRange, size: number): boolean {
  return 0 <= start && start <= end && end <= size
}

function outside({ start, end }: ByteRange, digest: Digest, size: number): RangeError {
  return new RangeError(`bytes ${start} to ${end} of ${digest}, which has ${size}`)
}

function checkSize(size: number, { maxBytes = Number.POSITIVE_INFINITY }: BlobExpectation): void {
  if (size > maxBytes) throw new BlobRefused(`more than the ${maxBytes} bytes that are accepted`)
}

function check({ digest, size }: BlobInfo, expected: BlobExpectation): void {
  checkSize(size, expected)
  if (expected.digest === undefined || expected.digest === digest) return
  throw new BlobRefused(`the ${size} bytes have the digest ${digest}, announced was ${expected.digest}`)
}

function spaceError(error: unknown): never {
  const code = codeOf(error)
  if (code !== 'ENOSPC' && code !== 'EDQUOT') throw error
  throw new BlobsFull(
    'there is no room for another blob in the data folder',
    'free space on its disk, or move it to a bigger one (MEADOW_DATA)',
    { cause: error },
  )
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
