import { createHash, hash } from 'node:crypto'
import { TAR_BLOCK, TAR_END, type TarEntry, tarHeader, tarPadding } from '../../common/tar.ts'
import type { Digest } from '../blobs/blobs.ts'
import { parentFolders } from './folders.ts'
import type { FragmentEntry } from './fragment.ts'
import { END_MEMBER, GZIP_HEADER, gzipMember, gzipTrailer, headerMember, paddingMember } from './gzip.ts'
import { FIXED_TIME } from './skeleton.ts'

/** A fragment but for the digest of its bytes, which who stores them knows. */
export interface FragmentManifest {
  /** Bytes of tar. */
  tarSize: number
  /** Of the tar. */
  diffId: Digest
  entries: FragmentEntry[]
}

/** A file about to be written. */
export interface FragmentFile {
  path: string
  mode: number
  size: number
  /** Seconds since 1970; a fixed time where absent. */
  mtime?: number
  /** The content as a deflate stream. What that inflates to is passed to `onContent` on the way, piece by piece. */
  deflated: (onContent: (bytes: Uint8Array) => void) => AsyncIterable<Uint8Array> | Iterable<Uint8Array>
  /** Asked for once the content is over. */
  sums: () => { crc: number; sha256: string }
}

/** Bytes in a piece of output: large enough to be handed on cheaply, small enough that memory stays flat. */
const PIECE = 1024 * 1024

/**
 * Writes gzip members of files and keeps account of where each is. First come the folders of all of them and last the
 * end of the tar, so that the whole is a layer; its tar is hashed as it goes by, where its content is inflated anyway.
 */
export class FragmentWriter {
  readonly #entries: FragmentEntry[] = []
  readonly #tar = createHash('sha256')
  #tarSize = 0
  #position = 0
  #piece = Buffer.allocUnsafeSlow(PIECE)
  #filled = 0;

  /**
   * Writes what comes before all files.
   * @param paths of all files and links
   */
  *begin(paths: Iterable<string>): Generator<Buffer, void, undefined> {
    const folders = Buffer.concat(parentFolders(paths).map(tarHeader))
    if (folders.length === 0) return
    this.#hash(folders)
    yield* this.#add(gzipMember(folders))
  }

  /** Yields what is full of the output; each piece has memory of its own. */
  async *file(file: FragmentFile): AsyncGenerator<Buffer, void, undefined> {
    const { path, mode, size, mtime = FIXED_TIME } = file
    const start = this.#position
    const entry: TarEntry = { path, type: 'file', mode, size, mtime }
    const header = tarHeader(entry)
    this.#hash(header)
    yield* this.#add(headerMember(header))
    // An empty member would say nothing, but the stream must be read for its sums.
    if (size > 0) yield* this.#add(GZIP_HEADER)
    for await (const bytes of file.deflated((content) => this.#hash(content))) if (size > 0) yield* this.#add(bytes)
    const { crc, sha256 } = file.sums()
    if (size > 0) yield* this.#add(gzipTrailer(crc, size))
    this.#hash(tarPadding(size))
    yield* this.#add(paddingMember(size))
    this.#entries.push({ path, mode, size, sha256, start, end: this.#position })
  }

  /** A symbolic link. */
  *link({ path, link, mtime = FIXED_TIME }: { path: string; link: string; mtime?: number }): Generator<Buffer> {
    const start = this.#position
    const header = tarHeader({ path, type: 'symlink', mode: 0o777, size: 0, mtime, link })
    this.#hash(header)
    yield* this.#add(headerMember(header))
    const sha256 = hash('sha256', link, 'hex')
    this.#entries.push({ path, mode: 0o777, size: 0, sha256, link, start, end: this.#position })
  }

  /** Yields the rest of the output. Nothing can be written any more. */
  *end(): Generator<Buffer, FragmentManifest, undefined> {
    this.#hash(TAR_END)
    yield* this.#add(END_MEMBER)
    if (this.#filled > 0) yield this.#piece.subarray(0, this.#filled)
    if (this.#tarSize % TAR_BLOCK !== 0) throw new Error(`a fragment of ${this.#tarSize} bytes is no whole tar`)
    return { tarSize: this.#tarSize, diffId: `sha256:${this.#tar.digest('hex')}`, entries: this.#entries }
  }

  #hash(tar: Uint8Array): void {
    this.#tar.update(tar)
    this.#tarSize += tar.length
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
