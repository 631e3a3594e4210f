import { tarHeader } from '../../common/tar.ts'
import type { Blobs } from '../blobs/blobs.ts'
import type { Fragment, FragmentEntry } from './fragment.ts'
import { END_MEMBER, gzipMember } from './gzip.ts'
import { addRun, type Part, parentFolders } from './layer-plan.ts'

/**
 * Some entries of a fragment as a tar.gz of their own: parent folders, the entries' gzip members copied as they are,
 * and the tar end.
 * @param entries of this fragment, in its order
 * @throws {BlobMissing} when the fragment is no longer stored
 */
export async function* memberStream(
  fragment: Fragment,
  blobs: Blobs,
  entries: FragmentEntry[],
): AsyncGenerator<Buffer, void, undefined> {
  const folders = parentFolders(entries.map((entry) => entry.path))
  if (folders.length > 0) yield gzipMember(Buffer.concat(folders.map((folder) => tarHeader(folder))))
  const part: Part = { fragment, runs: [] }
  for (const entry of entries) addRun(part, entry)
  for (const run of part.runs) yield* await blobs.open(fragment.digest, run)
  yield END_MEMBER
}
