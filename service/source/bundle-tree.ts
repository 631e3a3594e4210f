import { createHash } from 'node:crypto'
import { posix } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { BUNDLE_LIMITS, folderEntry } from '../../common/bundle-format.ts'
import { BundleRefused } from '../../common/bundle-refused.ts'
import { readTar, type TarItem } from '../../common/read-tar.ts'
import { TAR_END, type TarEntry, tarHeader, tarPadding } from '../../common/tar.ts'
import type { Blobs, Digest } from '../blobs/blobs.ts'
import { type Place, TreeIndex } from './tree-index.ts'

/** The files of a code tree, to be looked at. Links are followed, on the way to a file too. */
export interface TreeReader {
  /** Of all files, and of what links make one; not of folders. Files that are no links first, in byte order. */
  paths(): Promise<string[]>
  /**
   * A file's content, or undefined where there is none.
   * @throws {FileTooLarge}
   */
  read(path: string): Promise<Buffer | undefined>
}

/** A code tree whose files can be had as they are, of any size. */
export interface CodeTree extends TreeReader {
  /** A file's bytes, or undefined where there is none. */
  open(path: string): Promise<Readable | undefined>
  /**
   * A folder with all below it, or a file, as a tar, by paths from the root of the tree; the root is empty. What is
   * below it by a link that leads out of it is there as it is.
   */
  tar(folder: string): Promise<Readable>
  /** Hex sha256 over a folder, as its tar has it: paths, modes, links and contents of all below it. */
  hashFolder(folder: string): Promise<string>
}

/** Somebody wants to look into a file that is too large to be looked into. */
export class FileTooLarge extends Error {
  override name = 'FileTooLarge'
  readonly hint = 'Only small text files can be used here.'
}

/** Environment files and workflows are looked into; none is larger than this. */
const MAX_FILE = 32 * 1024 * 1024

/** Reads single files out of a bundle. It is listed once, when it is first asked. */
export class BundleTree implements CodeTree {
  readonly #blobs: Blobs
  readonly #digest: Digest
  #listed: Promise<TreeIndex> | undefined

  constructor(blobs: Blobs, digest: Digest) {
    this.#blobs = blobs
    this.#digest = digest
  }

  async paths(): Promise<string[]> {
    return [...(await this.#index()).paths()]
  }

  async read(path: string): Promise<Buffer | undefined> {
    const place = (await this.#index()).file(path)
    if (place === undefined) return undefined
    const { size } = place.entry
    if (size > MAX_FILE) throw new FileTooLarge(`${path} has ${size} bytes; at most ${MAX_FILE} are read`)
    return await buffer(await this.#bytes(place))
  }

  async open(path: string): Promise<Readable | undefined> {
    const place = (await this.#index()).file(path)
    return place && (await this.#bytes(place))
  }

  async tar(folder: string): Promise<Readable> {
    if (folder === '') return await this.#blobs.open(this.#digest)
    const items = this.#below(folder)
    return Readable.from(
      (async function* () {
        for await (const { entry, content } of items) {
          yield tarHeader(entry)
          yield* content
          yield tarPadding(entry.size)
        }
        yield TAR_END
      })(),
    )
  }

  async hashFolder(folder: string): Promise<string> {
    const hash = createHash('sha256')
    for await (const { entry, content } of this.#below(folder)) {
      hash.update(tarHeader({ ...entry, path: entry.path.slice(folder === '' ? 0 : folder.length + 1) || '.' }))
      for await (const chunk of content) hash.update(chunk)
    }
    return hash.digest('hex')
  }

  /** A folder, or a file, by the path that leads to it, its own parents first, and what is below it. */
  async *#below(folder: string): AsyncGenerator<TarItem> {
    const real = (await this.#index()).real(folder)
    if (real === undefined) return
    for (const parent of parents(folder)) yield { entry: folderEntry(parent), content: NOTHING }
    if (real === '' && folder !== '') yield { entry: folderEntry(folder), content: NOTHING }
    const budget = { bytes: BUNDLE_LIMITS.bytes }
    for await (const { entry, content } of readTar(await this.#blobs.open(this.#digest))) {
      if (!isWithin(entry.path, real)) continue
      const path = posix.join(folder, entry.path.slice(real === '' ? 0 : real.length + 1))
      if (entry.type === 'symlink') yield* this.#linked(entry, { path, folder: real, budget })
      else yield { entry: { ...entry, path }, content }
    }
  }

  /** A link of a folder: as it is where its target is in that folder too, else its target in its place. */
  async *#linked(link: TarEntry, { path, folder, budget }: Placing): AsyncGenerator<TarItem> {
    const index = await this.#index()
    const target = index.real(link.path)
    if (target === undefined) return yield { entry: { ...link, path }, content: NOTHING }
    if (isWithin(target, folder)) {
      const to = posix.relative(posix.dirname(link.path), target) || '.'
      return yield { entry: { ...link, path, link: to }, content: NOTHING }
    }
    const isFile = index.file(target) !== undefined
    if (!isFile) yield { entry: folderEntry(path), content: NOTHING }
    const folders = new Set(parents(path)).add(path)
    for (const below of isFile ? [''] : index.below(target)) {
      const place = index.file(posix.join(target, below)) as Place
      const at = posix.join(path, below)
      for (const parent of parents(at)) {
        if (folders.has(parent)) continue
        folders.add(parent)
        yield { entry: folderEntry(parent), content: NOTHING }
      }
      budget.bytes -= tarHeader(place.entry).length + place.entry.size
      if (budget.bytes < 0) throw tooMuch(link.path)
      yield { entry: { ...place.entry, path: at }, content: await this.#bytes(place) }
    }
  }

  async #bytes({ start, entry: { size } }: Place): Promise<Readable> {
    return size === 0 ? Readable.from([]) : await this.#blobs.open(this.#digest, { start, end: start + size })
  }

  #index(): Promise<TreeIndex> {
    this.#listed ??= this.#list()
    return this.#listed
  }

  async #list(): Promise<TreeIndex> {
    const files = new Map<string, Place>()
    const folders = new Set<string>()
    const links = new Map<string, string>()
    let start = 0
    for await (const { entry } of readTar(await this.#blobs.open(this.#digest))) {
      // A bundle is canonical: the header of an entry is as long as the one that we would write.
      start += tarHeader(entry).length
      if (entry.type === 'file') files.set(entry.path, { entry, start })
      else if (entry.type === 'directory') folders.add(entry.path)
      else links.set(entry.path, entry.link ?? '')
      start += entry.size + tarPadding(entry.size).length
    }
    return new TreeIndex(files, folders, links)
  }
}

/** Where a link of a folder is put, and how much its target may still bring. */
interface Placing {
  path: string
  folder: string
  budget: { bytes: number }
}

function tooMuch(path: string): BundleRefused {
  const fix = 'Let links in it point to less, or take them out.'
  return new BundleRefused('size', path, 'is a link that brings too much into the folder that it is in', fix)
}

const NOTHING: AsyncIterable<Buffer> = { async *[Symbol.asyncIterator]() {} }

/** The folders that a path is in, from the outermost one. */
function parents(path: string): string[] {
  const parts = path.split('/').slice(0, -1)
  return parts.map((_, n) => parts.slice(0, n + 1).join('/'))
}

function isWithin(path: string, folder: string): boolean {
  return folder === '' || path === folder || path.startsWith(`${folder}/`)
}
