import { setTimeout as delay } from 'node:timers/promises'
import type * as z from 'zod/mini'
import { ErrorBody } from '../common/contract.ts'
import { hintFor, networkFault, ServiceRefused, ServiceUnreachable } from './errors.ts'

/** How a call is made. */
export interface CallOptions {
  method?: 'GET' | 'POST' | 'PUT'
  /** Sent as JSON; a Blob as it is. */
  body?: unknown
  /** Whether doing it twice is as good as once. Else it is tried again only where it can't have arrived. */
  idempotent?: boolean
  signal?: AbortSignal | undefined
  /** Milliseconds for one try, body included. */
  timeout?: number
}

/** Nothing reached the service: neither was the name known nor did anybody take the connection. */
const NOT_SENT = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'])
/** What proxies and stopping services answer for a while. */
const TRY_AGAIN = new Set([429, 502, 503, 504])

export interface HttpOptions {
  url: URL
  /** Milliseconds within which a call is tried again. */
  patience?: number
}

/** Calls of the service, version 1, by the fetch of the platform. */
export class Http {
  readonly url: URL
  /** The bearer token of the calls, once there is one. */
  token: string | undefined
  readonly #patience: number

  constructor({ url, patience = 15_000 }: HttpOptions) {
    this.url = url
    this.#patience = patience
  }

  /**
   * Makes a call and checks the answer.
   * @throws {ServiceUnreachable} when nobody answers within the patience
   * @throws {ServiceRefused} with the service's own message and hint
   */
  async call<T extends z.ZodMiniType>(path: string, answer: T, options: CallOptions = {}): Promise<z.infer<T>> {
    const response = await this.open(path, options)
    const text = await response.text().catch((error: unknown) => {
      throw this.#unreachable(error)
    })
    return this.#checked(response, text, answer)
  }

  /** The same, for an answer that is read as it comes. */
  async open(path: string, options: CallOptions = {}): Promise<Response> {
    const { method = 'GET', idempotent = method !== 'POST', signal } = options
    const until = performance.now() + this.#patience
    for (let pause = 250; ; pause = Math.min(pause * 2, 4000)) {
      const last = performance.now() + pause > until
      const result = await this.#try(path, method, options)
      signal?.throwIfAborted()
      if (result instanceof Response) {
        if (result.ok) return result
        if (last || !idempotent || !TRY_AGAIN.has(result.status)) throw await this.#refusal(result)
        await result.body?.cancel()
      } else if (last || !(idempotent || NOT_SENT.has(networkFault(result).code))) {
        throw this.#unreachable(result)
      }
      await delay(pause, undefined, { signal })
    }
  }

  async #try(path: string, method: string, { body, signal, timeout = 60_000 }: CallOptions): Promise<Response | Error> {
    const limit = AbortSignal.timeout(timeout)
    const headers: Record<string, string> = { 'user-agent': 'meadow-run' }
    if (this.token !== undefined) headers.authorization = `Bearer ${this.token}`
    if (body !== undefined)
      headers['content-type'] = body instanceof Blob ? 'application/octet-stream' : 'application/json'
    try {
      return await fetch(new URL(`${this.url.pathname.replace(/\/$/, '')}${path}`, this.url), {
        method,
        headers,
        // A redirect would carry the token, or lose it: neither is wanted.
        redirect: 'manual',
        signal: signal ? AbortSignal.any([signal, limit]) : limit,
        ...(body !== undefined && { body: body instanceof Blob ? body : JSON.stringify(body) }),
      })
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error))
    }
  }

  #checked<T extends z.ZodMiniType>(response: Response, text: string, answer: T): z.infer<T> {
    const parsed = answer.safeParse(json(text))
    if (parsed.success) return parsed.data
    throw this.#noService(
      response.status,
      `answered ${new URL(response.url).pathname} with something else than it should`,
    )
  }

  async #refusal(response: Response): Promise<ServiceRefused> {
    const text = await response.text().catch(() => '')
    const { data } = ErrorBody.safeParse(json(text))
    if (data) return new ServiceRefused(response.status, data.error.code, data.error.message, data.error.hint)
    const where = response.headers.get('location')
    return this.#noService(response.status, where ? `redirects to ${where}` : `answered with status ${response.status}`)
  }

  #noService(status: number, what: string): ServiceRefused {
    const hint =
      'Check that "service-url" is the address of a meadow/run service of this version, not of a page before it.'
    return new ServiceRefused(status, 'no-service', `${this.url.origin} ${what}`, hint)
  }

  #unreachable(error: unknown): ServiceUnreachable {
    const fault = networkFault(error)
    return new ServiceUnreachable(this.url, fault.message || fault.code, hintFor(fault))
  }
}

function json(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
