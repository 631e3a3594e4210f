import { BundleTree, type CodeTree } from '../../service/source/bundle-tree.ts'
import { MemoryBlobs } from './memory-blobs.ts'
import { tarOfFiles } from './tar-of-files.ts'

/**
 * The code tree of some files, as of a bundle.
 * @param links target by path
 */
export async function codeTree(
  files: Record<string, string | Buffer>,
  links: Record<string, string> = {},
): Promise<CodeTree> {
  const blobs = new MemoryBlobs()
  return new BundleTree(blobs, (await blobs.put(tarOfFiles(files, links))).digest)
}
