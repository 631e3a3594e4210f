import { createHash } from 'node:crypto'

/**
 * How mirrored code is cut into pieces. A root is a tar of its files and links in the byte order of their paths, without
 * folders and without an end; pieces are its bytes in order. Small files go together, so that many of them are few
 * pieces; a large one is cut where its own bytes say so, so that an insertion moves only the cuts beside it.
 */

/** The most bytes of a piece. */
export const MOST_PIECE = 1024 * 1024
/** Bytes of tar from which on a file is cut by its content. */
export const LARGE_FILE = 256 * 1024
/** Bytes of small files that a piece has, more or less. */
const GROUP = 64 * 1024
/** A piece of a large file has at least this, and on the average this and `2 ** CUT_BITS` more. */
const LEAST_CUT = 64 * 1024
const CUT_BITS = 17

/** Whether a piece of small files, `bytes` long with this one, ends behind it. */
export function endsGroup(path: string, size: number, bytes: number): boolean {
  if (bytes >= LARGE_FILE) return true
  // By the path, so that the same files make the same pieces whatever is changed in them.
  return mixed(path) / 2 ** 32 < size / GROUP
}

/** FNV-1a with the last step of MurmurHash3: 32 bits that are as good as random. */
function mixed(text: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** One random number for each value of a byte; it may never change, or nothing that was sent would be found again. */
const GEAR = Uint32Array.from({ length: 256 }, (_, value) =>
  createHash('sha256').update(`meadow piece ${value}`).digest().readUInt32BE(0),
)

/** Cuts a stream where the last 32 bytes before the cut say so ("gear hashing"). Pieces of at most `MOST_PIECE` bytes. */
export async function* cut(source: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let waiting: Buffer[] = []
  let length = 0
  let hash = 0
  for await (const chunk of source) {
    let begin = 0
    for (let at = 0; at < chunk.length; at++) {
      hash = ((hash << 1) + (GEAR[chunk[at] as number] as number)) | 0
      length++
      if (length < LEAST_CUT || (hash >>> (32 - CUT_BITS) !== 0 && length < MOST_PIECE)) continue
      yield Buffer.concat([...waiting, chunk.subarray(begin, at + 1)])
      waiting = []
      begin = at + 1
      length = 0
      hash = 0
    }
    // Copied: whoever fills the chunk may fill it again.
    if (begin < chunk.length) waiting.push(Buffer.from(chunk.subarray(begin)))
  }
  if (length > 0) yield Buffer.concat(waiting)
}
