import { hash } from 'node:crypto'
import type { Readable } from 'node:stream'
import { HintedError } from '../../common/hinted-error.ts'

/** The sha256 of some bytes, as OCI writes it: `sha256:` and 64 lower-case hex digits. */
export type Digest = `sha256:${string}`

/** What a stored blob is known by. */
export interface BlobInfo {
  digest: Digest
  /** Bytes. */
  size: number
}

/** Bytes of a blob, from `start` up to but not including `end`. */
export interface ByteRange {
  start: number
  end: number
}

/** What a caller knows of the bytes before they arrive; any difference refuses the blob. */
export interface BlobExpectation {
  digest?: Digest
  /** Most bytes that are accepted. */
  maxBytes?: number
}

/** Bytes kept by their digest: layers, fragments, bundles, manifests and locks. */
export interface Blobs {
  /** The blob's size in bytes, or undefined where it is not stored. */
  size(digest: Digest): Promise<number | undefined>
  /**
   * Reads a blob, or a part of it.
   * @throws {BlobMissing} when it is not stored
   */
  open(digest: Digest, range?: ByteRange): Promise<Readable>
  /**
   * Reads parts of a blob one after the other, which is opened once for all of them.
   * @throws {BlobMissing} when it is not stored
   */
  parts(digest: Digest, ranges: Iterable<ByteRange>): AsyncIterable<Buffer>
  /**
   * Stores a stream. Visible under its digest only when all of it arrived and matched; durable when the promise resolves.
   * @throws {BlobRefused} when the bytes are not what was expected
   * @throws {BlobsFull} when there is no room for them
   */
  put(source: AsyncIterable<Uint8Array> | Uint8Array, expected?: BlobExpectation): Promise<BlobInfo>
  /** Removes a blob; removing what is not there is no error. */
  remove(digest: Digest): Promise<void>
}

/** A blob that something refers to is not stored. */
export class BlobMissing extends Error {
  override name = 'BlobMissing'
  readonly digest: Digest
  constructor(digest: Digest) {
    super(`blob ${digest} is not stored`)
    this.digest = digest
  }
}

/** Bytes that were offered are not the ones that were announced. */
export class BlobRefused extends Error {
  override name = 'BlobRefused'
}

/** There is no room for more blobs. */
export class BlobsFull extends HintedError {
  override name = 'BlobsFull'
}

/** What bytes are stored by. */
export function digestOf(bytes: Uint8Array): Digest {
  return `sha256:${hash('sha256', bytes)}`
}

/** Whether some text is a sha256 digest as OCI writes it. */
export function isDigest(text: string): text is Digest {
  return /^sha256:[0-9a-f]{64}$/.test(text)
}
