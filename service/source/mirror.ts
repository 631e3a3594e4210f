import { buffer } from 'node:stream/consumers'
import { BundleHeaders, type BundleLimits } from '../../common/bundle-format.ts'
import { checkLinks } from '../../common/bundle-links.ts'
import { digestsIn, IndexRefused, MOST_INDEX_BYTES, MOST_PIECES } from '../../common/piece-index.ts'
import { readTar } from '../../common/read-tar.ts'
import { TAR_END, tarPadding } from '../../common/tar.ts'
import type { BlobInfo, Blobs, Digest } from '../blobs/blobs.ts'
import { bundleOf, grantedAmong, saveBundle } from '../database/code.ts'
import type { Database } from '../database/database.ts'
import type { Domain } from '../policy/domain.ts'
import { bundleItem } from './adopt.ts'
import { Turns } from './turns.ts'

/** What is looked at in parallel in the folder of the blobs. */
const AT_ONCE = 32

/** A mirrored root can't be put together: something of it is not here. */
export class MirrorIncomplete extends Error {
  override name = 'MirrorIncomplete'
  readonly hint = 'Run it again: what is missing is sent then.'
}

export interface MirrorParts {
  database: Database
  blobs: Blobs
  limits?: BundleLimits | undefined
}

/**
 * Makes the bundles of mirrored code. A domain may use only pieces that it sent itself: else knowing the digest of
 * somebody's blob would be enough to read it.
 */
export class Mirrors {
  readonly #parts: MirrorParts
  readonly #turns = new Turns()

  constructor(parts: MirrorParts) {
    this.#parts = parts
  }

  /**
   * What is to be sent before the bundle of a root can be made: its index; once that is here, its lists; then their
   * pieces. Nothing where the bundle is there already.
   * @throws {IndexRefused}
   */
  async missing(domain: Domain, root: Digest): Promise<Digest[]> {
    if ((await this.#known(domain, root)) !== undefined) return []
    for (let named = [root], depth = 0; ; depth++) {
      const missing = await this.lacks(domain, named)
      if (missing.length > 0 || depth === 2) return missing
      named = [...new Set(await this.#named(named))]
    }
  }

  /** Which of some blobs a domain must send: those that it never sent, and those that are gone. */
  async lacks(domain: Domain, digests: readonly Digest[]): Promise<Digest[]> {
    const { database, blobs } = this.#parts
    const granted = await grantedAmong(database.state, domain, digests)
    const lacked: Digest[] = []
    for (let at = 0; at < digests.length; at += AT_ONCE) {
      const some = digests.slice(at, at + AT_ONCE)
      const there = await Promise.all(
        some.map(async (each) => granted.has(each) && (await blobs.size(each)) !== undefined),
      )
      lacked.push(...some.filter((_, n) => !there[n]))
    }
    return lacked
  }

  /**
   * The bundle of a root, made where it is not known yet: the same canonical tar that a commit's files would give, as
   * whatever the pieces hold is read as an archive from hostile hands and written anew.
   * @throws {MirrorIncomplete}, {IndexRefused}, {TarRefused} or {BundleRefused}
   */
  async bundle(domain: Domain, root: Digest, signal: AbortSignal): Promise<BlobInfo> {
    return await this.#turns.take(`${domain} ${root}`, async () => {
      const known = await this.#known(domain, root)
      if (known !== undefined) return known
      const { database, blobs, limits } = this.#parts
      const lists = await this.#complete(domain, [root])
      const pieces = await this.#complete(domain, lists)
      await this.#present(domain, pieces)
      const { digest, size } = await blobs.put(canonical(joined(blobs, pieces, signal), limits))
      const row = { domain, commit_id: root, digest, size, created: Date.now() }
      await database.write(({ db }) => saveBundle(db, row))
      return { digest, size }
    })
  }

  async #known(domain: Domain, root: Digest): Promise<BlobInfo | undefined> {
    const { database, blobs } = this.#parts
    const row = await bundleOf(database.state, [domain], root)
    return row && (await blobs.size(row.digest)) !== undefined ? { digest: row.digest, size: row.size } : undefined
  }

  async #complete(domain: Domain, lists: Digest[]): Promise<Digest[]> {
    await this.#present(domain, lists)
    return await this.#named(lists)
  }

  async #present(domain: Domain, digests: Digest[]): Promise<void> {
    const lacked = await this.lacks(domain, [...new Set(digests)])
    if (lacked.length === 0) return
    throw new MirrorIncomplete(`the mirrored code lacks ${lacked.length} of its pieces, ${lacked[0]} for one`)
  }

  /** What indexes or lists name, in their order. The same one may be there many times over: it is read once. */
  async #named(lists: Digest[]): Promise<Digest[]> {
    const names = new Map<Digest, Digest[]>()
    let total = 0
    for (const list of lists) {
      const here = names.get(list) ?? (await this.#read(list))
      names.set(list, here)
      total += here.length
      if (total > MOST_PIECES) throw new IndexRefused(`mirror.roots: more than ${MOST_PIECES} pieces are named`)
    }
    return lists.flatMap((list) => names.get(list) ?? [])
  }

  async #read(list: Digest): Promise<Digest[]> {
    const { blobs } = this.#parts
    const size = (await blobs.size(list)) ?? 0
    const bytes = size > MOST_INDEX_BYTES ? Buffer.from('too long') : await buffer(await blobs.open(list))
    return digestsIn(`mirror.roots: ${list}`, bytes)
  }
}

async function* joined(blobs: Blobs, pieces: Digest[], signal: AbortSignal): AsyncGenerator<Uint8Array> {
  for (const piece of pieces) {
    signal.throwIfAborted()
    yield* await blobs.open(piece)
  }
  yield TAR_END
}

async function* canonical(tar: AsyncIterable<Uint8Array>, limits: BundleLimits | undefined): AsyncGenerator<Buffer> {
  const headers = new BundleHeaders(limits)
  const links = new Map<string, string>()
  for await (const item of readTar(tar)) {
    const { path, type, link = '', size } = item.entry
    // Folders follow from the files.
    if (type === 'directory') continue
    if (type === 'symlink') links.set(path, link)
    yield headers.next(bundleItem(item))
    yield* item.content
    yield tarPadding(size)
  }
  checkLinks(links)
  yield TAR_END
}
