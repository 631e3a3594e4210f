import { createReadStream } from 'node:fs'
import { createZstdDecompress } from 'node:zlib'
import type { Blobs, Digest } from '../../blobs/blobs.ts'
import { FetchFailed } from '../../fetch/errors.ts'
import type { Fetcher } from '../../fetch/fetcher.ts'
import type { KeyedQueue } from '../worker/keyed-queue.ts'

/** Milliseconds for which what a channel said holds, as for an index of wheels. */
const FRESH = 600_000

/** What a channel offers for one platform: its repodata.json, as a blob. */
export interface Repodata {
  digest: Digest
  /** Bytes. */
  size: number
}

interface Known {
  repodata: Repodata | undefined
  fetched: number
}

/** Asks channels what they offer, through the guarded fetcher: what solves has no network. */
export class CondaRepodata {
  readonly #fetcher: Fetcher
  readonly #blobs: Blobs
  readonly #queue: KeyedQueue
  readonly #known = new Map<string, Known>()

  constructor(fetcher: Fetcher, blobs: Blobs, queue: KeyedQueue) {
    this.#fetcher = fetcher
    this.#blobs = blobs
    this.#queue = queue
  }

  /**
   * @param channel its URL
   * @returns undefined where the channel has nothing for that platform
   * @throws {FetchFailed} where the channel can't be reached
   */
  async of(channel: string, subdir: string, signal: AbortSignal): Promise<Repodata | undefined> {
    const key = `${channel}/${subdir}`
    return await this.#queue.run(`repodata ${key}`, async () => {
      const known = this.#known.get(key)
      if (known && Date.now() - known.fetched < FRESH && (await this.#isStored(known.repodata))) return known.repodata
      const before = known?.repodata?.digest
      const repodata =
        (await this.#fetch(key, 'repodata.json.zst', signal)) ?? (await this.#fetch(key, 'repodata.json', signal))
      if (before !== undefined && before !== repodata?.digest) await this.#blobs.remove(before)
      this.#known.set(key, { repodata, fetched: Date.now() })
      return repodata
    })
  }

  async #isStored(repodata: Repodata | undefined): Promise<boolean> {
    return repodata === undefined || (await this.#blobs.size(repodata.digest)) !== undefined
  }

  async #fetch(key: string, file: string, signal: AbortSignal): Promise<Repodata | undefined> {
    try {
      await using fetched = await this.#fetcher.fetch({ name: key, url: `${key}/${file}` }, { signal })
      const bytes = createReadStream(fetched.file)
      return await this.#blobs.put(file.endsWith('.zst') ? bytes.pipe(createZstdDecompress()) : bytes)
    } catch (error) {
      // The server said that there is no such file.
      if (error instanceof FetchFailed && !error.retryable) return undefined
      throw error
    }
  }
}
