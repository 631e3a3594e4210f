import { crc32, deflateRawSync } from 'node:zlib'
import { TAR_END, tarPadding } from '../../common/tar.ts'
import { deflateHeader } from './header-deflate.ts'

/**
 * How every member begins (RFC 1952): deflate, no name, no time, unknown system. What is known of the compressor is
 * left out too, so that equal deflate streams are equal members.
 */
export const GZIP_HEADER = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255])

/** The longest stored block of deflate (RFC 1951, 3.2.4). */
const STORED_BLOCK = 0xffff

/** How every member ends. Sizes count modulo 2^32. */
export function gzipTrailer(crc: number, size: number): Buffer {
  const trailer = Buffer.alloc(8)
  trailer.writeUInt32LE(crc, 0)
  trailer.writeUInt32LE(size % 2 ** 32, 4)
  return trailer
}

/** Some bytes as a gzip member of their own. The same bytes give the same member. */
export function gzipMember(bytes: Uint8Array, level = 6): Buffer {
  return Buffer.concat([GZIP_HEADER, deflateRawSync(bytes, { level }), gzipTrailer(crc32(bytes), bytes.length)])
}

/** A tar header as a member. There is one before every file. */
export function headerMember(header: Uint8Array): Buffer {
  return Buffer.concat([GZIP_HEADER, deflateHeader(header), gzipTrailer(crc32(header), header.length)])
}

/** Bytes as deflate blocks that are not compressed. */
export function* storedBlocks(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += STORED_BLOCK) {
    const part = bytes.subarray(at, at + STORED_BLOCK)
    yield Buffer.from([0, part.length & 0xff, part.length >> 8, ~part.length & 0xff, (~part.length >> 8) & 0xff])
    yield part
  }
}

/** The empty last block that ends a deflate stream. */
export const LAST_BLOCK = Buffer.from([1, 0, 0, 0xff, 0xff])

const paddings = new Map<number, Buffer>()

/** The member of the zeros that follow `size` bytes of content; empty where none do. */
export function paddingMember(size: number): Buffer {
  const padding = tarPadding(size)
  let member = paddings.get(padding.length)
  if (member === undefined) {
    member = padding.length === 0 ? padding : gzipMember(padding)
    paddings.set(padding.length, member)
  }
  return member
}

/** The member that ends a layer. */
export const END_MEMBER = gzipMember(TAR_END)
