import { readTar } from '../../common/read-tar.ts'
import { TAR_BLOCK, TAR_END, type TarEntry, tarChecksum, tarHeader, tarPadding } from '../../common/tar.ts'

/** Who owns files in a container. */
export interface Owner {
  uid: number
  gid: number
}

/** Seven octal digits are what a header of ustar has for it. */
const MOST_ID = 0o7777777

/**
 * The owner that `uid:gid` names; group 0 where there is none.
 * @throws {RangeError} for names: only the image knows what they stand for
 */
export function parseOwner(user: string): Owner {
  const [, uid, gid = 0] = /^(\d{1,10})(?::(\d{1,10}))?$/.exec(user) ?? []
  const owner = { uid: Number(uid), gid: Number(gid) }
  if (!(owner.uid <= MOST_ID && owner.gid <= MOST_ID)) {
    throw new RangeError(`${JSON.stringify(user)} is not a user as uid:gid; give numbers up to ${MOST_ID}`)
  }
  return owner
}

/** The header of an entry that belongs to somebody. */
export function ownedHeader(entry: TarEntry, { uid, gid }: Owner): Buffer {
  const header = tarHeader(entry)
  // A pax header may come first; owner and checksum are those of the last block.
  const block = header.subarray(header.length - TAR_BLOCK)
  block.write(`${octal(uid, 7)}\0${octal(gid, 7)}\0`, 108, 'latin1')
  block.write(`${octal(tarChecksum(block), 6)}\0 `, 148, 'latin1')
  return header
}

/** The same tar with every entry owned by one user: Docker unpacks it so, and the user's process may write there. */
export async function* ownedTar(source: AsyncIterable<Uint8Array>, owner: Owner): AsyncGenerator<Uint8Array> {
  for await (const { entry, content } of readTar(source)) {
    yield ownedHeader(entry, owner)
    yield* content
    yield tarPadding(entry.size)
  }
  yield TAR_END
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, '0')
}
