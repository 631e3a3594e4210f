import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { readTar, type TarItem } from '../../common/read-tar.ts'
import { TAR_END, tarHeader, tarPadding } from '../../common/tar.ts'
import type { Blobs, Digest } from '../blobs/blobs.ts'

/** The files of a code tree, to be looked at. */
export interface TreeReader {
  /** Of all files, not of folders and links; in byte order. */
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
  /** A folder with all below it, or a file, as a tar, by paths from the root of the tree; the root is empty. */
  tar(folder: string): Promise<Readable>
  /** Hex sha256 over a folder: paths, modes, links and contents of all below it. */
  hashFolder(folder: string): Promise<string>
}

/** Somebody wants to look into a file that is too large to be looked into. */
export class FileTooLarge extends Error {
  override name = 'FileTooLarge'
  readonly hint = 'Only small text files can be used here.'
}

/** Environment files and workflows are looked into; none is larger than this. */
const MAX_FILE = 32 * 1024 * 1024

interface Place {
  start: number
  size: number
}

/** Reads single files out of a bundle. It is listed once, when it is first asked. */
export class BundleTree implements CodeTree {
  readonly #blobs: Blobs
  readonly #digest: Digest
  #index: Promise<Map<string, Place>> | undefined

  constructor(blobs: Blobs, digest: Digest) {
    this.#blobs = blobs
    this.#digest = digest
  }

  async paths(): Promise<string[]> {
    return [...(await this.#places()).keys()]
  }

  async read(path: string): Promise<Buffer | undefined> {
    const place = (await this.#places()).get(path)
    if (place === undefined) return undefined
    const { start, size } = place
    if (size > MAX_FILE) throw new FileTooLarge(`${path} has ${size} bytes; at most ${MAX_FILE} are read`)
    return size === 0
      ? Buffer.alloc(0)
      : await buffer(await this.#blobs.open(this.#digest, { start, end: start + size }))
  }

  async open(path: string): Promise<Readable | undefined> {
    const place = (await this.#places()).get(path)
    if (place === undefined) return undefined
    const { start, size } = place
    return size === 0 ? Readable.from([]) : await this.#blobs.open(this.#digest, { start, end: start + size })
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

  /** A folder, its own parents first, and what is below it. */
  async *#below(folder: string): AsyncGenerator<TarItem> {
    for await (const item of readTar(await this.#blobs.open(this.#digest))) {
      const { path, type } = item.entry
      const isParent = type === 'directory' && `${folder}/`.startsWith(`${path}/`)
      if (folder === '' || isParent || path === folder || path.startsWith(`${folder}/`)) yield item
    }
  }

  #places(): Promise<Map<string, Place>> {
    this.#index ??= this.#list()
    return this.#index
  }

  async #list(): Promise<Map<string, Place>> {
    const places = new Map<string, Place>()
    let at = 0
    for await (const { entry } of readTar(await this.#blobs.open(this.#digest))) {
      // A bundle is canonical: the header of an entry is as long as the one that we would write.
      at += tarHeader(entry).length
      if (entry.type === 'file') places.set(entry.path, { start: at, size: entry.size })
      at += entry.size + tarPadding(entry.size).length
    }
    return places
  }
}
