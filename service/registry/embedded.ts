import { pipeline, type Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { createGunzip } from 'node:zlib'
import type { Blobs, ByteRange, Digest } from '../blobs/blobs.ts'
import type { Database } from '../database/database.ts'
import { findManifest, listTags, putManifest, putTag } from '../database/registry.ts'
import { listedBy } from './manifest.ts'

type Listed = ReturnType<typeof listedBy>[number]

/** A manifest with its bytes. */
export interface StoredManifest {
  digest: Digest
  mediaType: string
  bytes: Buffer
}

/** A blob as it is served. */
export interface ServedBlob {
  /** Bytes. */
  size: number
  /** Whether a part of it can be asked for; what is inflated on the way comes as a whole. */
  ranges: boolean
  open(range?: ByteRange): Promise<Readable>
}

/** The service's own registry: manifests and tags are rows, bytes are blobs. Nodes pull from it by `/v2`. */
export class EmbeddedRegistry {
  readonly #database: Database
  readonly #blobs: Blobs
  readonly #host: () => string
  /** What the manifests of a repository list, as far as they were read. */
  readonly #listed = new Map<string, { manifests: Set<Digest>; blobs: Map<Digest, Listed> }>()

  /** @param host gives host and port under which nodes reach this service */
  constructor(database: Database, blobs: Blobs, host: () => string) {
    this.#database = database
    this.#blobs = blobs
    this.#host = host
  }

  /** Puts a manifest, whose blobs must be stored before it, into a repository, and points a tag at it. */
  async put(repository: string, manifest: Uint8Array, mediaType: string, tag?: string): Promise<Digest> {
    const isStored = async ({ digest, inflatedFrom }: Listed) => {
      if ((await this.#blobs.size(inflatedFrom ?? digest)) !== undefined) return
      throw new Error(`a manifest of ${repository} lists ${digest}, which is not stored`)
    }
    await Promise.all(listedBy(manifest).map(isStored))
    const { digest } = await this.#blobs.put(manifest)
    await this.#database.write(async ({ db }) => {
      await putManifest(db, { repository, digest, media_type: mediaType })
      if (tag !== undefined) await putTag(db, { repository, tag, digest })
    })
    return digest
  }

  /** A manifest by its digest or tag. */
  async get(repository: string, reference: string): Promise<StoredManifest | undefined> {
    const row = await findManifest(this.#database.state, repository, reference)
    if (row === undefined) return undefined
    const bytes = await buffer(await this.#blobs.open(row.digest))
    return { digest: row.digest, mediaType: row.media_type, bytes }
  }

  /** The tags of a repository, in order; undefined where it holds nothing. */
  async tags(repository: string): Promise<string[] | undefined> {
    if ((await this.#manifestsOf(repository)).length === 0) return undefined
    return await listTags(this.#database.state, repository)
  }

  /** Opens a blob, if a manifest of this repository lists it: another repository's blobs are not to be had by digest. */
  async blob(repository: string, digest: Digest): Promise<ServedBlob | undefined> {
    const listed = await this.#lists(repository, digest)
    if (listed === undefined) return undefined
    const stored = listed.inflatedFrom ?? digest
    const size = await this.#blobs.size(stored)
    if (size === undefined) return undefined
    if (listed.inflatedFrom === undefined) {
      return { size, ranges: true, open: (range) => this.#blobs.open(stored, range) }
    }
    return { size: listed.size, ranges: false, open: async () => inflated(await this.#blobs.open(stored)) }
  }

  /** The stored blobs that a manifest of a repository lists; none where it is not there. */
  async storedBy(repository: string, digest: Digest): Promise<Digest[]> {
    const manifest = await this.get(repository, digest)
    return manifest ? listedBy(manifest.bytes).map(({ digest: own, inflatedFrom }) => inflatedFrom ?? own) : []
  }

  /** The stored blobs that all manifests together list. */
  async stored(): Promise<Set<Digest>> {
    const all = new Set<Digest>()
    const rows = await this.#database.state.selectFrom('manifests').select(['repository', 'digest']).execute()
    for (const { repository, digest } of rows) {
      for (const each of await this.storedBy(repository, digest)) all.add(each)
    }
    return all
  }

  /** How an engine names an image of it: `127.0.0.1:8470/library/python@sha256:…` */
  reference(repository: string, digest: Digest): string {
    return `${this.#host()}/${repository}@${digest}`
  }

  async #lists(repository: string, digest: Digest): Promise<Listed | undefined> {
    const known = this.#listed.get(repository) ?? { manifests: new Set(), blobs: new Map() }
    const listed = known.blobs.get(digest)
    if (listed) return listed
    for (const manifest of await this.#manifestsOf(repository)) {
      if (known.manifests.has(manifest)) continue
      for (const one of listedBy(await buffer(await this.#blobs.open(manifest)))) known.blobs.set(one.digest, one)
      known.manifests.add(manifest)
    }
    if (known.manifests.size > 0) this.#listed.set(repository, known)
    return known.blobs.get(digest)
  }

  async #manifestsOf(repository: string): Promise<Digest[]> {
    const rows = await this.#database.state
      .selectFrom('manifests')
      .select('digest')
      .where('repository', '=', repository)
      .execute()
    return rows.map(({ digest }) => digest)
  }
}

/** Inflates in the thread pool. What goes wrong with the stored bytes ends the result with that error. */
function inflated(stored: Readable): Readable {
  return pipeline(stored, createGunzip({ chunkSize: 1 << 20 }), () => {})
}
