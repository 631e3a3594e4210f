import { getCACertificates } from 'node:tls'
import { Agent, request } from 'undici'
import { type Answer, BrokenOff } from './answer.ts'
import { type Download, FetchFailed, FetchRefused } from './errors.ts'
import { checkUrl, guardedLookup, PRIVATE_HINT, PrivateAddress } from './url-guard.ts'

const MAX_REDIRECTS = 5
const CONNECT_LIMIT = 10_000

/** Whom to ask, and how. */
export interface HttpOptions {
  /** `host` or `host:port`, as URLs say it, of every configured index: these may be private, and may use http. */
  allowedHosts: string[]
  /** PEM certificates of further authorities. */
  ca?: string
  /** Authorization headers by host; each is sent to that host only. */
  credentials?: Record<string, string>
}

/** Requests by https to public addresses, but for configured hosts. Each is made once. */
export class GuardedHttp {
  readonly #allowed: Set<string>
  readonly #credentials: Record<string, string>
  /** For hosts of the operator's, and for all others. */
  readonly #agents: { configured: Agent; guarded: Agent }

  /** @param stall milliseconds without a byte after which a connection is given up */
  constructor({ allowedHosts, ca, credentials = {} }: HttpOptions, stall: number) {
    this.#allowed = new Set(allowedHosts)
    this.#credentials = credentials
    const connect = {
      timeout: CONNECT_LIMIT,
      ...(ca === undefined ? {} : { ca: [...getCACertificates('default'), ca] }),
    }
    const timeouts = { headersTimeout: stall, bodyTimeout: stall }
    this.#agents = {
      configured: new Agent({ ...timeouts, connect }),
      guarded: new Agent({ ...timeouts, connect: { ...connect, lookup: guardedLookup } }),
    }
  }

  /**
   * Asks, and follows redirects: each is a URL like the first, and checked like it. Other answers than 200, 206 and 416
   * are errors.
   * @throws {FetchRefused} for what a URL is, or where it leads
   * @throws {BrokenOff} for what may go well a little later
   * @throws {FetchFailed}
   */
  async get(download: Download, headers: Record<string, string>, signal?: AbortSignal): Promise<Answer> {
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

  /**
   * Sends JSON; is not redirected.
   * @throws as `get`
   */
  async post(download: Download, value: unknown, signal?: AbortSignal): Promise<Answer> {
    const url = parsedUrl(download)
    const headers = { 'content-type': 'application/json', ...download.headers }
    const post = { method: 'POST', body: JSON.stringify(value) } as const
    const answer = await this.#ask(download, url, headers, signal, post)
    if (answer.status === 200) return answer
    await answer.body.dump()
    throw statusError(download, url, answer.status)
  }

  /** Lets go of connections. */
  async close(): Promise<void> {
    await Promise.all([this.#agents.configured.destroy(), this.#agents.guarded.destroy()])
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
    const authorization = this.#credentials[url.host]
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

function statusError(download: Download, url: URL, status: number): Error {
  const passing = status === 408 || status === 425 || status === 429 || status >= 500
  const message = `the server answered ${status}`
  if (passing) return new BrokenOff(message)
  return new FetchFailed(download, url, message, false)
}

/** What an error says, and what caused it. */
export function reason(error: unknown): string {
  return causes(error)
    .map((cause) => cause.message || (cause as NodeJS.ErrnoException).code || cause.name)
    .join(': ')
}

function causes(error: unknown): Error[] {
  if (!(error instanceof Error)) return []
  const inner = error instanceof AggregateError ? error.errors : [error.cause]
  return [error, ...inner.flatMap(causes)]
}
