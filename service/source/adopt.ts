import { createHash } from 'node:crypto'
import { BundleHeaders, type BundleItem, type BundleLimits } from '../../common/bundle-format.ts'
import { checkLinks } from '../../common/bundle-links.ts'
import { BundleRefused } from '../../common/bundle-refused.ts'
import type { UploadedBundle } from '../../common/contract.ts'
import { blobHash, objectId, type TreeLeaf, treeId, treeOfCommit } from '../../common/git-objects.ts'
import { readTar, type TarItem } from '../../common/read-tar.ts'
import { TAR_END, tarPadding } from '../../common/tar.ts'

/**
 * Accepts an uploaded bundle as the code of a commit only if the object ids say so: the commit object hashes to the
 * commit, names a tree, and the files hash to that tree. It must also be the very bytes that the service would have made
 * itself, so that one commit has one bundle.
 * @param open gives the uploaded bytes, whose sha256 is `uploaded.digest`
 * @throws {BundleRefused} or {TarRefused}
 */
export async function verifyUpload(
  open: () => Promise<AsyncIterable<Uint8Array>>,
  commit: string,
  uploaded: UploadedBundle,
  limits?: BundleLimits,
): Promise<void> {
  const raw = Buffer.from(uploaded['commit-object'], 'base64')
  const tree = treeOfCommit(raw)
  if (objectId('commit', raw) !== commit || tree === undefined) {
    throw refused(`the uploaded commit object is not that of ${commit}`)
  }
  const { leaves, digest } = await readLeaves(await open(), limits)
  for (const { path, id } of uploaded.gitlinks) leaves.push({ path, mode: '160000', id })
  if (treeId(leaves) !== tree) throw refused(`the uploaded files are not those of ${commit}`)
  if (digest !== uploaded.digest) throw refused('the uploaded bundle is not in the canonical form')
}

function refused(message: string): BundleRefused {
  return new BundleRefused('proof', undefined, `bundle: ${message}`, 'Upload the bundle that this version makes.')
}

/** The files and links of a bundle with their git ids, and the digest that its canonical form has. */
async function readLeaves(
  tar: AsyncIterable<Uint8Array>,
  limits: BundleLimits | undefined,
): Promise<{ leaves: TreeLeaf[]; digest: string }> {
  const canonical = createHash('sha256')
  const headers = new BundleHeaders(limits)
  const links = new Map<string, string>()
  const leaves: TreeLeaf[] = []
  for await (const item of readTar(tar)) {
    const { path, type, link = '', mode } = item.entry
    // Folders follow from the files; the digest tells whether they are the right ones.
    if (type === 'directory') continue
    canonical.update(headers.next(bundleItem(item)))
    if (type === 'symlink') {
      links.set(path, link)
      leaves.push({ path, mode: '120000', id: objectId('blob', Buffer.from(link)) })
      continue
    }
    const blob = blobHash(item.entry.size)
    for await (const chunk of item.content) {
      blob.update(chunk)
      canonical.update(chunk)
    }
    canonical.update(tarPadding(item.entry.size))
    leaves.push({ path, mode: mode & 0o100 ? '100755' : '100644', id: blob.digest('hex') })
  }
  checkLinks(links)
  return { leaves, digest: `sha256:${canonical.update(TAR_END).digest('hex')}` }
}

/** A file or link of a tar, as a bundle has it. */
export function bundleItem({ entry: { path, type, link = '', mode, size } }: TarItem): BundleItem {
  return type === 'symlink' ? { type, path, link } : { type: 'file', path, executable: (mode & 0o100) !== 0, size }
}
