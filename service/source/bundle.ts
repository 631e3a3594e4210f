import { type BundleLimits, commitBundle, type Gitlink } from '../../common/bundle-format.ts'
import type { UploadedBundle } from '../../common/contract.ts'
import type { BlobInfo, Blobs, Digest } from '../blobs/blobs.ts'
import { verifyUpload } from './adopt.ts'
import { gitEnvironment } from './git.ts'

/** Ten minutes for making a bundle of a commit that is here. */
const MAKE_TIMEOUT = 600_000

/** A stored bundle, and the submodules that it leaves out. */
export interface StoredBundle extends BlobInfo {
  gitlinks: Gitlink[]
}

/**
 * Makes the bundle of a commit that a bare repository holds.
 * @throws {BundleRefused} for trees that are refused
 */
export async function storeCommit(
  blobs: Blobs,
  folder: string,
  commit: string,
  { signal, limits }: { signal: AbortSignal; limits?: BundleLimits | undefined },
): Promise<StoredBundle> {
  const options = { cwd: folder, env: gitEnvironment(), signal, timeout: MAKE_TIMEOUT }
  await using bundle = await commitBundle(commit, options, limits)
  return { ...(await blobs.put(bundle.chunks)), gitlinks: bundle.gitlinks }
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
