import { buffer } from 'node:stream/consumers'
import { checkLinks } from './bundle-links.ts'
import { checkName } from './bundle-names.ts'
import { BundleRefused } from './bundle-refused.ts'
import { type CommitLeaf, commitLeaves } from './commit-tree.ts'
import type { GitObject, ObjectReader } from './object-reader.ts'
import { TAR_END, type TarEntry, tarHeader, tarPadding } from './tar.ts'

/** 2000-01-01T00:00:00Z, in seconds. */
const MTIME = 946_684_800
/** Modes of a tree's entries. */
const [EXECUTABLE, LINK, SUBMODULE] = ['100755', '120000', '160000']

/** A file or link of a bundle. */
export type BundleItem =
  | { type: 'file'; path: string; executable: boolean; size: number }
  | { type: 'symlink'; path: string; link: string }

/** A submodule: a bundle has nothing of it. */
export interface Gitlink {
  path: string
  /** The commit that it is at. */
  id: string
}

/** The most that a bundle may hold. */
export interface BundleLimits {
  /** Bytes of all files together. */
  bytes: number
  files: number
}

export const BUNDLE_LIMITS: BundleLimits = { bytes: 8 * 2 ** 30, files: 1_000_000 }

/** The code of one commit, ready to be written. */
export interface CommitBundle {
  /** How many files and links. */
  files: number
  gitlinks: Gitlink[]
  /** The tar. Read once; its sha256 is the bundle's id. */
  chunks: AsyncIterable<Buffer>
}

/**
 * The headers of a bundle. Canonical: files and links in the byte order of their paths, each folder just before the
 * first thing in it, modes 644, 755 and 777, owner 0:0, one fixed time. One tree gives one sequence of bytes.
 */
export class BundleHeaders {
  readonly #folders = new Set<string>()
  readonly #leaves = new Set<string>()
  readonly #limits: BundleLimits
  #last = Buffer.alloc(0)
  #bytes = 0

  constructor(limits = BUNDLE_LIMITS) {
    this.#limits = limits
  }

  /**
   * The headers that come before the item's content.
   * @throws {BundleRefused} for names and orders that a checkout would never have, and past the limits
   */
  next(item: BundleItem): Buffer {
    checkName(item.path)
    const name = Buffer.from(item.path)
    if (Buffer.compare(this.#last, name) >= 0) {
      throw new BundleRefused('order', item.path, 'is there twice or out of order', 'Make the commit again with git.')
    }
    this.#last = name
    this.#leaves.add(item.path)
    this.#count(item)
    const own =
      item.type === 'file'
        ? { ...item, mode: item.executable ? 0o755 : 0o644, mtime: MTIME }
        : { ...item, mode: 0o777, mtime: MTIME, size: 0 }
    return Buffer.concat([...this.#newFolders(item.path), tarHeader(own)])
  }

  #newFolders(path: string): Buffer[] {
    const headers: Buffer[] = []
    for (let slash = path.indexOf('/'); slash >= 0; slash = path.indexOf('/', slash + 1)) {
      const folder = path.slice(0, slash)
      if (this.#folders.has(folder)) continue
      if (this.#leaves.has(folder)) {
        throw new BundleRefused('order', folder, 'is both a file and a folder', 'Make the commit again with git.')
      }
      this.#folders.add(folder)
      headers.push(tarHeader(folderEntry(folder)))
    }
    return headers
  }

  #count(item: BundleItem): void {
    if (item.type === 'file') this.#bytes += item.size
    if (this.#bytes > this.#limits.bytes || this.#leaves.size > this.#limits.files) {
      const { bytes, files } = this.#limits
      throw new BundleRefused(
        'size',
        undefined,
        `the code holds more than ${bytes} bytes or ${files} files`,
        'Keep large data out of it.',
      )
    }
  }
}

/** What a bundle says of a folder. */
export function folderEntry(path: string): TarEntry {
  return { type: 'directory', path, mode: 0o755, size: 0, mtime: MTIME }
}

/**
 * Reads a commit's tree from git objects, never from a working tree: attributes and filters change bytes. Memory grows
 * with the number of files, not with their size.
 * @throws {BundleRefused} for names and links that are refused, now or while the chunks are read
 * @throws {GitFailed} where git does not have the commit
 */
export async function commitBundle(
  objects: ObjectReader,
  commit: string,
  limits = BUNDLE_LIMITS,
): Promise<CommitBundle> {
  const all = await commitLeaves(objects, commit, limits.files)
  const leaves = all.filter(({ mode }) => mode !== SUBMODULE)
  const links = await readLinks(objects, leaves)
  checkLinks(links)
  return {
    files: leaves.length,
    gitlinks: all.filter(({ mode }) => mode === SUBMODULE).map(({ path, id }) => ({ path, id })),
    chunks: batched(tarOf(objects, leaves, links, limits)),
  }
}

async function readLinks(objects: ObjectReader, leaves: CommitLeaf[]): Promise<Map<string, string>> {
  const links = leaves.filter(({ mode }) => mode === LINK)
  const targets = new Map<string, string>()
  const contents = objects.read(idsOf(links))
  for (const link of links) {
    const { size, content } = await present(contents, link)
    if (size > 4095) throw new BundleRefused('link', link.path, 'is a link with an overlong target', 'Remove it.')
    const bytes = await buffer(content)
    if (!Buffer.from(bytes.toString()).equals(bytes)) {
      throw new BundleRefused('link', link.path, 'is a link whose target is not UTF-8', 'Remove it.')
    }
    targets.set(link.path, bytes.toString())
  }
  await contents.next()
  return targets
}

async function* tarOf(
  objects: ObjectReader,
  leaves: CommitLeaf[],
  links: Map<string, string>,
  limits: BundleLimits,
): AsyncGenerator<Buffer> {
  const headers = new BundleHeaders(limits)
  const contents = objects.read(idsOf(leaves.filter(({ path }) => !links.has(path))))
  for (const leaf of leaves) {
    const link = links.get(leaf.path)
    if (link !== undefined) {
      yield headers.next({ type: 'symlink', path: leaf.path, link })
      continue
    }
    const { size, content } = await present(contents, leaf)
    yield headers.next({ type: 'file', path: leaf.path, executable: leaf.mode === EXECUTABLE, size })
    yield* content
    yield tarPadding(size)
  }
  yield TAR_END
}

function idsOf(leaves: CommitLeaf[]): string[] {
  return leaves.map(({ id }) => id)
}

/** The next of the objects, which is that of the leaf. */
async function present(objects: AsyncGenerator<GitObject | undefined>, { path, id }: CommitLeaf): Promise<GitObject> {
  const { value: object } = await objects.next()
  if (object?.type === 'blob') return object
  throw new BundleRefused(
    'missing-object',
    path,
    `is in the commit, but this repository does not hold its content (blob ${id})`,
    'Check the commit out in full: no sparse checkout, no partial clone.',
  )
}

/** Fewer and larger chunks: most files are small. */
async function* batched(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let waiting: Buffer[] = []
  let size = 0
  for await (const chunk of chunks) {
    waiting.push(chunk)
    size += chunk.length
    if (size < 128 * 1024) continue
    yield Buffer.concat(waiting)
    waiting = []
    size = 0
  }
  if (size > 0) yield Buffer.concat(waiting)
}
