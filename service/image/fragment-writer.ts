import { hash } from 'node:crypto'
import { type TarEntry, tarHeader } from '../../common/tar.ts'
import type { FragmentEntry } from './fragment.ts'
import { GZIP_HEADER, gzipTrailer, headerMember, paddingMember } from './gzip.ts'
import { FIXED_TIME } from './skeleton.ts'

/** A fragment but for the digest of its bytes, which who stores them knows. */
export interface FragmentManifest {
  /** Bytes of tar. */
  tarSize: number
  entries: FragmentEntry[]
}

/** A file about to be written. */
export interface FragmentFile {
  path: string
  mode: number
  size: number
  /** Seconds since 1970; a fixed time where absent. */
  mtime?: number
  /** The content as a deflate stream. Over before `sums` is read. */
  deflated: AsyncIterable<Uint8Array> | Iterable<Uint8Array>
  sums: () => { crc: number; sha256: string }
}

/** Bytes in a piece of output: large enough to be handed on cheaply, small enough that memory stays flat. */
const PIECE = 256 * 1024

/** Writes gzip members of files and keeps account of where each is. */
export class FragmentWriter {
  readonly manifest: FragmentManifest = { tarSize: 0, entries: [] }
  #position = 0
  #piece = Buffer.allocUnsafeSlow(PIECE)
  #filled = 0

  /** Yields what is full of the output; each piece has memory of its own. */
  async *file(file: FragmentFile): AsyncGenerator<Buffer, void, undefined> {
    const { path, mode, size, mtime = FIXED_TIME } = file
    const start = this.#position
    const entry: TarEntry = { path, type: 'file', mode, size, mtime }
    const header = tarHeader(entry)
    yield* this.#add(headerMember(header))
    // An empty member would say nothing, but the stream must be read for its sums.
    if (size > 0) yield* this.#add(GZIP_HEADER)
    for await (const bytes of file.deflated) if (size > 0) yield* this.#add(bytes)
    const { crc, sha256 } = file.sums()
    if (size > 0) yield* this.#add(gzipTrailer(crc, size))
    yield* this.#add(paddingMember(size))
    this.manifest.tarSize += header.length + Math.ceil(size / 512) * 512
    this.manifest.entries.push({ path, mode, size, sha256, start, end: this.#position })
  }

  /** A symbolic link. */
  *link({ path, link, mtime = FIXED_TIME }: { path: string; link: string; mtime?: number }): Generator<Buffer> {
    const start = this.#position
    const header = tarHeader({ path, type: 'symlink', mode: 0o777, size: 0, mtime, link })
    yield* this.#add(headerMember(header))
    this.manifest.tarSize += header.length
    const sha256 = hash('sha256', link, 'hex')
    this.manifest.entries.push({ path, mode: 0o777, size: 0, sha256, link, start, end: this.#position })
  }

  /** Yields the rest of the output. */
  *end(): Generator<Buffer, void, undefined> {
    if (this.#filled > 0) yield this.#piece.subarray(0, this.#filled)
    this.#filled = 0
  }

  *#add(bytes: Uint8Array): Generator<Buffer, void, undefined> {
    this.#position += bytes.length
    for (let at = 0; at < bytes.length; ) {
      const part = bytes.subarray(at, at + PIECE - this.#filled)
      this.#piece.set(part, this.#filled)
      this.#filled += part.length
      at += part.length
      if (this.#filled < PIECE) continue
      yield this.#piece
      this.#piece = Buffer.allocUnsafeSlow(PIECE)
      this.#filled = 0
    }
  }
}
