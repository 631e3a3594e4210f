import { createReadStream } from 'node:fs'
import { createZstdDecompress } from 'node:zlib'
import type { Blobs } from '../../blobs/blobs.ts'
import type { Repodata } from '../../builder/conda-channels.ts'
import { FetchFailed } from '../../fetch/errors.ts'
import type { Fetcher } from '../../fetch/fetcher.ts'
import type { KeyedQueue } from '../worker/keyed-queue.ts'

/** Milliseconds for which what a channel said holds, as for an index of wheels. */
const FRESH = 600_000

interface Known {
  repodata: Repodata
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
   * @throws {FetchFailed} where the channel can't be reached
   * @throws {FetchRefused} where it is not to be asked
   */
  async of(channel: string, subdir: string, signal: AbortSignal): Promise<Repodata> {
    const key = `${channel}/${subdir}`
    return await this.#queue.run(`repodata ${key}`, async () => {
      const known = this.#known.get(key)
      if (known && Date.now() - known.fetched < FRESH && (await this.#isStored(known.repodata))) return known.repodata
      const packed = await this.#fetch(key, 'repodata.json.zst', signal)
      const repodata = 'none' in packed ? await this.#fetch(key, 'repodata.json', signal) : packed
      if (known) await this.#removeOld(known.repodata, repodata)
      this.#known.set(key, { repodata, fetched: Date.now() })
      return repodata
    })
  }

  async #isStored(repodata: Repodata): Promise<boolean> {
    return 'none' in repodata || (await this.#blobs.size(repodata.digest)) !== undefined
  }

  async #removeOld(old: Repodata, now: Repodata): Promise<void> {
    if ('none' in old || ('digest' in now && now.digest === old.digest)) return
    await this.#blobs.remove(old.digest)
  }

  async #fetch(key: string, file: string, signal: AbortSignal): Promise<Repodata> {
    try {
      await using fetched = await this.#fetcher.fetch({ name: file, url: `${key}/${file}` }, { signal })
      const bytes = createReadStream(fetched.file)
      return await this.#blobs.put(file.endsWith('.zst') ? bytes.pipe(createZstdDecompress()) : bytes)
    } catch (error) {
      // The server said that there is no such file: some say it by 403.
      if (error instanceof FetchFailed && !error.retryable) return { none: error.why }
      throw error
    }
  }
}
