import { randomUUID } from 'node:crypto'
import { mkdir, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { getCACertificates } from 'node:tls'
import { Agent, request } from 'undici'
import { type Download, FetchFailed, FetchRefused, HashMismatch } from './errors.ts'
import { Slots } from './slots.ts'
import { type Answer, BrokenOff, Transfer } from './transfer.ts'
import { checkUrl, guardedLookup, PRIVATE_HINT, PrivateAddress } from './url-guard.ts'

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
const MAX_REDIRECTS = 5
const CONNECT_LIMIT = 10_000
/** Bytes of an answer in JSON. */
const MAX_ANSWER = 8 * 2 ** 20

export interface FetcherOptions {
  /** `host` or `host:port`, as URLs say it, of every configured index: these may be private, and may use http. */
  allowedHosts: string[]
  /** Where files are put while they are in use. */
  folder: string
  /** PEM certificates of further authorities. */
  ca?: string
  /** Authorization headers by host; each is sent to that host only. */
  credentials?: Record<string, string>
  limits?: Partial<FetchLimits>
}

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
  readonly #options: FetcherOptions
  readonly #limits: FetchLimits
  readonly #allowed: Set<string>
  readonly #slots: Slots
  /** For hosts of the operator's, and for all others. */
  readonly #agents: { configured: Agent; guarded: Agent }

  constructor(options: FetcherOptions) {
    this.#options = options
    this.#limits = { ...LIMITS, ...options.limits }
    this.#allowed = new Set(options.allowedHosts)
    this.#slots = new Slots(this.#limits.parallel)
    const connect = {
      timeout: CONNECT_LIMIT,
      ...(options.ca === undefined ? {} : { ca: [...getCACertificates('default'), options.ca] }),
    }
    const timeouts = { headersTimeout: this.#limits.stall, bodyTimeout: this.#limits.stall }
    this.#agents = {
      configured: new Agent({ ...timeouts, connect }),
      guarded: new Agent({ ...timeouts, connect: { ...connect, lookup: guardedLookup } }),
    }
  }

  async fetch(download: Download, { signal, onProgress }: FetchOptions = {}): Promise<Fetched> {
    using _ = await this.#slots.take(signal)
    await mkdir(this.#options.folder, { recursive: true })
    const path = join(this.#options.folder, randomUUID())
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
    const url = parsedUrl(download)
    const post = { method: 'POST', body: JSON.stringify(question) } as const
    const headers = { 'content-type': 'application/json', ...download.headers }
    return await this.#tried(download, signal, async () => {
      const answer = await this.#ask(download, url, headers, signal, post)
      if (answer.status === 200) return await jsonOf(download, answer)
      await answer.body.dump()
      throw statusError(download, url, answer.status)
    })
  }

  async close(): Promise<void> {
    await Promise.all([this.#agents.configured.destroy(), this.#agents.guarded.destroy()])
  }

  /** Tries until all of it is there, each time from where the last one ended. */
  async #attempt(download: Download, transfer: Transfer, signal?: AbortSignal): Promise<void> {
    await this.#tried(download, signal, async () => {
      const answer = await this.#open(download, transfer.headers(), signal)
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

  /** Asks, and follows redirects: each is a URL like the first, and checked like it. */
  async #open(download: Download, headers: Record<string, string>, signal?: AbortSignal): Promise<Answer> {
    let url = parsedUrl(download)
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      const own = url.origin === parsedUrl(download).origin ? download.headers : {}
      const answer = await this.#ask(download, url, { ...headers, ...own }, signal)
      if ([200, 206, 416].includes(answer.status)) return answer
      const location = answer.header('location')
      await answer.body.dump()
      if (![301, 302, 303, 307, 308].includes(answer.status) || !location)
        throw statusError(download, url, answer.status)
      if (!URL.canParse(location, url.href)) throw new FetchRefused(download, url, 'redirects to no URL', 'Correct it.')
      url = new URL(location, url)
    }
    throw new FetchFailed(download, url, `more than ${MAX_REDIRECTS} redirects`, false)
  }

  async #ask(
    download: Download,
    url: URL,
    headers: Record<string, string>,
    signal?: AbortSignal,
    post?: { method: 'POST'; body: string },
  ): Promise<Answer> {
    const isConfigured = this.#allowed.has(url.host)
    checkUrl(download, url, isConfigured)
    const authorization = this.#options.credentials?.[url.host]
    try {
      const {
        statusCode,
        headers: given,
        body,
      } = await request(url, {
        dispatcher: isConfigured ? this.#agents.configured : this.#agents.guarded,
        headers: { ...headers, 'accept-encoding': 'identity', ...(authorization ? { authorization } : {}) },
        ...(signal ? { signal } : {}),
        ...post,
      })
      return { status: statusCode, header: (name) => given[name]?.toString(), body, url }
    } catch (error) {
      if (causes(error).some((cause) => cause instanceof PrivateAddress)) {
        throw new FetchRefused(download, url, `leads to a private address (${reason(error)})`, PRIVATE_HINT)
      }
      throw new BrokenOff(reason(error), { cause: error })
    }
  }
}

function parsedUrl(download: Download): URL {
  const { url = '' } = download
  if (URL.canParse(url)) return new URL(url)
  throw new FetchRefused(download, url || 'its place in the lock', 'is no URL', 'Correct it.')
}

async function jsonOf(download: Download, { body, url }: Answer): Promise<unknown> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > MAX_ANSWER) break
      chunks.push(chunk)
    }
  } catch (error) {
    throw new BrokenOff(`the answer broke off after ${size} bytes`, { cause: error })
  }
  if (size > MAX_ANSWER) throw new FetchFailed(download, url, `its answer has more than ${MAX_ANSWER} bytes`, false)
  try {
    return JSON.parse(Buffer.concat(chunks).toString())
  } catch {
    throw new FetchFailed(download, url, 'its answer is not JSON', false)
  }
}

function statusError(download: Download, url: URL, status: number): Error {
  const passing = status === 408 || status === 425 || status === 429 || status >= 500
  const message = `the server answered ${status}`
  if (passing) return new BrokenOff(message)
  return new FetchFailed(download, url, message, false)
}

/** What an error says, and what caused it. */
function reason(error: unknown): string {
  return causes(error)
    .map((cause) => cause.message || (cause as NodeJS.ErrnoException).code || cause.name)
    .join(': ')
}

function causes(error: unknown): Error[] {
  if (!(error instanceof Error)) return []
  const inner = error instanceof AggregateError ? error.errors : [error.cause]
  return [error, ...inner.flatMap(causes)]
}
