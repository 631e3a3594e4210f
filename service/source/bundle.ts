import { type BundleLimits, commitBundle, type Gitlink } from '../../common/bundle-format.ts'
import type { UploadedBundle } from '../../common/contract.ts'
import type { ObjectReader } from '../../common/object-reader.ts'
import type { BlobInfo, Blobs, Digest } from '../blobs/blobs.ts'
import { verifyUpload } from './adopt.ts'

/** A stored bundle, and the submodules that it leaves out. */
export interface StoredBundle extends BlobInfo {
  gitlinks: Gitlink[]
}

/**
 * Makes the bundle of a commit.
 * @param objects of a repository that holds it
 * @throws {BundleRefused} for trees that are refused
 */
export async function storeCommit(
  blobs: Blobs,
  objects: ObjectReader,
  commit: string,
  limits: BundleLimits | undefined,
): Promise<StoredBundle> {
  const { chunks, gitlinks } = await commitBundle(objects, commit, limits)
  return { ...(await blobs.put(chunks)), gitlinks }
}

/**
 * Takes an uploaded bundle for the code of a commit, if its object ids prove it.
 * @throws {BundleRefused} or {TarRefused} where they don't
 * @throws {BlobMissing} where it was not uploaded
 */
export async function storeUpload(
  blobs: Blobs,
  commit: string,
  uploaded: UploadedBundle,
  limits: BundleLimits | undefined,
): Promise<StoredBundle> {
  const digest = uploaded.digest as Digest
  const size = await blobs.size(digest)
  await verifyUpload(() => blobs.open(digest), commit, uploaded, limits)
  return { digest, size: size ?? 0, gitlinks: uploaded.gitlinks }
}
