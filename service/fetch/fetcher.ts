import { randomUUID } from 'node:crypto'
import { mkdir, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type Answer, BrokenOff, jsonOf } from './answer.ts'
import { type Download, FetchFailed, HashMismatch } from './errors.ts'
import { GuardedHttp, type HttpOptions, reason } from './guarded-http.ts'
import { Slots } from './slots.ts'
import { Transfer } from './transfer.ts'

/** How much and how long is tried. */
export interface FetchLimits {
  /** Most bytes of one artifact. */
  maxBytes: number
  /** Milliseconds without a byte after which a connection is given up. */
  stall: number
  /** How often one artifact is tried in all. */
  attempts: number
  /** Milliseconds before the second attempt; twice as many before each further one. */
  backoff: number
  /** How many artifacts at a time. */
  parallel: number
}

const LIMITS: FetchLimits = { maxBytes: 8 * 2 ** 30, stall: 30_000, attempts: 6, backoff: 250, parallel: 8 }

/** What a fetcher is made of. */
export interface FetcherOptions extends HttpOptions {
  /** Where files are put while they are in use. */
  folder: string
  limits?: Partial<FetchLimits>
  /** What is asked in place of addresses that begin so. */
  mirrors?: Record<string, string>
}

/** Beside what is fetched. */
export interface FetchOptions {
  signal?: AbortSignal
  /** Called with the bytes received so far. */
  onProgress?: (received: number) => void
}

/** A fetched and verified file. Whoever asked for it disposes of it: that removes the file. */
export interface Fetched extends AsyncDisposable {
  /** Its path. */
  file: string
  /** Hex. */
  sha256: string
  /** Bytes. */
  size: number
}

/** The one way in for artifacts. */
export interface Fetcher {
  /**
   * @throws {FetchRefused} for what the URL is, or where it leads
   * @throws {FetchFailed} when it can't be had
   * @throws {HashMismatch}
   */
  fetch(download: Download, options?: FetchOptions): Promise<Fetched>
  /**
   * Asks a question in JSON, guarded in the same way; not redirected.
   * @returns the answer in JSON, as anybody may have made it
   * @throws {FetchRefused} and {FetchFailed} as above
   */
  ask(download: Download, question: unknown, options?: FetchOptions): Promise<unknown>
  /** Lets go of connections. */
  close(): Promise<void>
}

/** Fetches by https, from public addresses but for configured hosts, checks hashes, resumes what breaks off. */
export function createFetcher(options: FetcherOptions): Fetcher {
  return new GuardedFetcher(options)
}

class GuardedFetcher implements Fetcher {
  readonly #folder: string
  readonly #limits: FetchLimits
  readonly #slots: Slots
  readonly #http: GuardedHttp
  readonly #mirrors: [prefix: string, mirror: string][]

  constructor({ folder, limits, mirrors = {}, ...http }: FetcherOptions) {
    this.#folder = folder
    this.#mirrors = Object.entries(mirrors)
    this.#limits = { ...LIMITS, ...limits }
    this.#slots = new Slots(this.#limits.parallel)
    this.#http = new GuardedHttp(http, this.#limits.stall)
  }

  async fetch(asked: Download, { signal, onProgress }: FetchOptions = {}): Promise<Fetched> {
    const download = this.#mirrored(asked)
    using _ = await this.#slots.take(signal)
    await mkdir(this.#folder, { recursive: true })
    const path = join(this.#folder, randomUUID())
    const remove = () => rm(path, { force: true })
    try {
      await using file = await open(path, 'wx')
      const transfer = new Transfer(download, file, this.#limits.maxBytes, onProgress ?? (() => {}))
      await this.#attempt(download, transfer, signal)
      const [sha256, size] = [transfer.digest(), transfer.received]
      if (download.sha256 !== undefined && download.sha256 !== sha256) {
        throw new HashMismatch(download, download.url ?? '', download.sha256, sha256)
      }
      return { file: path, sha256, size, [Symbol.asyncDispose]: remove }
    } catch (error) {
      await remove()
      throw error
    }
  }

  async ask(download: Download, question: unknown, { signal }: FetchOptions = {}): Promise<unknown> {
    using _ = await this.#slots.take(signal)
    return await this.#tried(download, signal, async () =>
      jsonOf(download, await this.#http.post(download, question, signal)),
    )
  }

  async close(): Promise<void> {
    await this.#http.close()
  }

  #mirrored(asked: Download): Download {
    const [prefix, mirror] = this.#mirrors.find(([each]) => asked.url?.startsWith(each)) ?? []
    if (asked.url === undefined || prefix === undefined) return asked
    return { ...asked, url: `${mirror}${asked.url.slice(prefix.length)}` }
  }

  /** Tries until all of it is there, each time from where the last one ended. */
  async #attempt(download: Download, transfer: Transfer, signal?: AbortSignal): Promise<void> {
    await this.#tried(download, signal, async () => {
      const answer = await this.#http.get(download, transfer.headers(), signal)
      if (answer.status === 416) await this.#unfit(answer, transfer)
      await transfer.take(answer)
    })
  }

  /** Does again what broke off, a little later each time. */
  async #tried<T>(download: Download, signal: AbortSignal | undefined, once: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await once()
      } catch (error) {
        signal?.throwIfAborted()
        if (!(error instanceof BrokenOff)) throw error
        if (attempt >= this.#limits.attempts) {
          const why = `${reason(error)}, ${attempt} attempts`
          throw new FetchFailed(download, download.url ?? '', why, true, { cause: error })
        }
      }
      await delay(this.#limits.backoff * 2 ** (attempt - 1), undefined, signal ? { signal } : {})
    }
  }

  /** The file is another than the one that was begun with. RFC 9110, 15.5.17. */
  async #unfit(answer: Answer, transfer: Transfer): Promise<never> {
    await answer.body.dump()
    await transfer.restart()
    throw new BrokenOff('the server answered 416')
  }
}
