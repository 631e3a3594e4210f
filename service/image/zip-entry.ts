import { pipeline, Readable } from 'node:stream'
import { constants, crc32, createInflateRaw, inflateRawSync } from 'node:zlib'
import { LAST_BLOCK, storedBlocks } from './gzip.ts'
import type { ZipEntry } from './zip-directory.ts'
import type { ZipFile } from './zip-file.ts'
import { checkLocalHeader } from './zip-local.ts'
import { ZipRefused } from './zip-refused.ts'

/** Up to here an entry is inflated by one call in memory, which for small ones is many times faster than a stream. */
const SMALL = { compressed: 2 ** 18, size: 2 ** 20 }
/** Bytes of others that are read, and inflated, at a time: each time costs a way through the thread pool. */
const PIECE = 1024 * 1024

/**
 * An entry's bytes as a deflate stream: copied, or in stored blocks where the zip does not compress it. What they
 * inflate to is checked while it goes by: the stream must end exactly where the entry does, give exactly the announced
 * size and match the checksum, or bytes after its end would be taken for gzip members of their own.
 * @param onContent gets the inflated bytes, piece by piece
 * @throws {ZipRefused} at the latest after the last piece
 */
export async function* deflated(
  file: ZipFile,
  entry: ZipEntry,
  onContent: (bytes: Buffer) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  const start = checkLocalHeader(file, entry)
  const check = new ContentCheck(entry, onContent)
  if (entry.method === 'stored') {
    for (const piece of pieces(file, start, entry.compressedSize)) {
      check.add(piece)
      yield* storedBlocks(piece)
    }
    yield LAST_BLOCK
  } else if (entry.compressedSize <= SMALL.compressed && entry.size <= SMALL.size) {
    const bytes = file.read(start, entry.compressedSize)
    check.add(inflateAtOnce(entry, bytes))
    yield bytes
  } else {
    yield* inflatedOnTheWay(file, start, entry, check)
  }
  check.end()
}

/**
 * An entry's content.
 * @throws {ZipRefused} when it is larger than `max` bytes, or as `deflated`
 */
export async function readContent(file: ZipFile, entry: ZipEntry, max: number): Promise<Buffer> {
  if (entry.size > max) throw new ZipRefused(entry.name, `is larger than ${max} bytes`)
  const content: Buffer[] = []
  for await (const _ of deflated(file, entry, (bytes) => content.push(bytes)));
  return Buffer.concat(content)
}

/** The first bytes of an entry's content: few or many, but some unless it is empty or damaged. Not checked. */
export function peek(file: ZipFile, entry: ZipEntry): Buffer {
  const start = checkLocalHeader(file, entry)
  const bytes = file.read(start, Math.min(entry.compressedSize, 4096))
  if (entry.method === 'stored') return bytes
  try {
    return inflateRawSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH })
  } catch (error) {
    throw damaged(entry, error)
  }
}

function inflateAtOnce(entry: ZipEntry, bytes: Buffer): Buffer {
  try {
    // One byte more than needed, so that the end is found without a second buffer.
    const chunkSize = Math.max(64, entry.size + 1)
    const options = { info: true, chunkSize, maxOutputLength: chunkSize }
    // The declared type does not know what `info` gives.
    const result = inflateRawSync(bytes, options) as unknown as { buffer: Buffer; engine: { bytesWritten: number } }
    checkConsumed(entry, result.engine.bytesWritten)
    return result.buffer
  } catch (error) {
    throw damaged(entry, error)
  }
}

async function* inflatedOnTheWay(
  file: ZipFile,
  start: number,
  entry: ZipEntry,
  check: ContentCheck,
): AsyncGenerator<Buffer, void, undefined> {
  const inflate = createInflateRaw({ chunkSize: PIECE })
  const read: Buffer[] = []
  const source = function* () {
    for (const piece of pieces(file, start, entry.compressedSize)) {
      read.push(piece)
      yield piece
    }
  }
  // Whatever goes wrong in it ends the iteration below with that error.
  pipeline(Readable.from(source()), inflate, () => {})
  try {
    for await (const content of inflate) {
      check.add(content)
      yield* read.splice(0)
    }
  } catch (error) {
    throw damaged(entry, error)
  }
  yield* read.splice(0)
  checkConsumed(entry, inflate.bytesWritten)
}

function* pieces(file: ZipFile, start: number, length: number): Generator<Buffer> {
  for (let at = 0; at < length; at += PIECE) yield file.read(start + at, Math.min(PIECE, length - at))
}

function checkConsumed(entry: ZipEntry, consumed: number): void {
  if (consumed === entry.compressedSize) return
  throw new ZipRefused(entry.name, `has ${entry.compressedSize - consumed} bytes after the end of its deflate stream`)
}

/** What zlib found wrong, in our words; any other error as it is. */
function damaged(entry: ZipEntry, error: unknown): unknown {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (code === 'ERR_BUFFER_TOO_LARGE') return tooLong(entry)
  if (!code.startsWith('Z_')) return error
  return new ZipRefused(entry.name, `does not inflate: ${(error as Error).message}`)
}

function tooLong(entry: ZipEntry): ZipRefused {
  return new ZipRefused(entry.name, `inflates to more than the ${entry.size} bytes that it announces`)
}

/** Counts and sums the content of an entry. */
class ContentCheck {
  readonly #entry: ZipEntry
  readonly #onContent: (bytes: Buffer) => void
  #size = 0
  #crc = 0

  constructor(entry: ZipEntry, onContent: (bytes: Buffer) => void) {
    this.#entry = entry
    this.#onContent = onContent
  }

  add(bytes: Buffer): void {
    this.#size += bytes.length
    if (this.#size > this.#entry.size) throw tooLong(this.#entry)
    this.#crc = crc32(bytes, this.#crc)
    this.#onContent(bytes)
  }

  end(): void {
    const { name, size, crc } = this.#entry
    if (this.#size !== size) throw new ZipRefused(name, `inflates to ${this.#size} bytes, not the announced ${size}`)
    if (this.#crc !== crc) throw new ZipRefused(name, 'has content that does not match its checksum')
  }
}
