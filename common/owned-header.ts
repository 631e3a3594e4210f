import { TAR_BLOCK, type TarEntry, tarChecksum, tarHeader } from './tar.ts'

/** Who owns files in a container. */
export interface Owner {
  uid: number
  gid: number
}

/** Seven octal digits are what a header of ustar has for it. */
export const MOST_ID = 0o7777777

/**
 * The header of an entry that belongs to somebody.
 * @throws {RangeError} when a field can't be written
 */
export function ownedHeader(entry: TarEntry, { uid, gid }: Owner): Buffer {
  if (!(uid <= MOST_ID && gid <= MOST_ID))
    throw new RangeError(`tar: ${entry.path} belongs to ${uid}:${gid}, and ${MOST_ID} is the most`)
  const header = tarHeader(entry)
  // A pax header may come first; owner and checksum are those of the last block.
  const block = header.subarray(header.length - TAR_BLOCK)
  block.write(`${octal(uid, 7)}\0${octal(gid, 7)}\0`, 108, 'latin1')
  block.write(`${octal(tarChecksum(block), 6)}\0 `, 148, 'latin1')
  return header
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, '0')
}
