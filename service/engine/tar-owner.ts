import { MOST_ID, type Owner, ownedHeader } from '../../common/owned-header.ts'
import { readTar } from '../../common/read-tar.ts'
import { TAR_END, tarPadding } from '../../common/tar.ts'

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

/** The same tar with every entry owned by one user: Docker unpacks it so, and the user's process may write there. */
export async function* ownedTar(source: AsyncIterable<Uint8Array>, owner: Owner): AsyncGenerator<Uint8Array> {
  for await (const { entry, content } of readTar(source)) {
    yield ownedHeader(entry, owner)
    yield* content
    yield tarPadding(entry.size)
  }
  yield TAR_END
}
