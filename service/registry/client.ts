import { createHash } from 'node:crypto'
import type { Readable } from 'node:stream'
import { getCACertificates } from 'node:tls'
import { Agent, type Dispatcher, request } from 'undici'
import { type Digest, isDigest } from '../blobs/blobs.ts'
import { guardedLookup } from '../fetch/url-guard.ts'
import { hostIsPrivate } from '../policy/addresses.ts'
import { RegistryFailed } from './failed.ts'
import { INDEX_TYPES, MANIFEST_TYPES } from './manifest.ts'
import { type RegistryCredential, tokenFor } from './token-auth.ts'

const CONNECT_MS = 10_000
const HEADERS_MS = 30_000
/** Longest pause between two pieces of a body. */
const BODY_MS = 60_000
const MOST_REDIRECTS = 5
/** Larger manifests are refused by registries too (OCI distribution specification 1.1, "pushing manifests"). */
const MOST_MANIFEST_BYTES = 4 * 1024 * 1024

export interface RegistryOptions {
  /** `https://registry-1.docker.io`, `http://127.0.0.1:5000` */
  url: URL
  credential?: RegistryCredential
  /** PEM of authorities beside Node's own. */
  ca?: string
  /** Whether it, and where it leads, may only be at public addresses: where not the operator but a user names it. */
  guarded?: boolean
}

/** A manifest as a registry gave it, its digest checked. */
export interface PulledManifest {
  digest: Digest
  mediaType: string
  bytes: Buffer
}

/** Pulls from a registry (OCI distribution specification 1.1). Its redirects are followed, to other hosts without credentials. */
export class RegistryClient {
  readonly #url: URL
  readonly #credential: RegistryCredential | undefined
  readonly #agent: Agent
  readonly #guarded: boolean
  /** `Authorization` by repository. */
  readonly #authorizations = new Map<string, string>()

  constructor({ url, credential, ca, guarded = false }: RegistryOptions) {
    this.#url = url
    this.#credential = credential
    this.#guarded = guarded
    const connect = {
      timeout: CONNECT_MS,
      ...(ca !== undefined && { ca: [...getCACertificates(), ca] }),
      ...(guarded && { lookup: guardedLookup }),
    }
    this.#agent = new Agent({ connect, headersTimeout: HEADERS_MS, bodyTimeout: BODY_MS })
  }

  /** A manifest or index by its tag or digest; undefined where the registry does not have it. */
  async manifest(repository: string, reference: string, signal: AbortSignal): Promise<PulledManifest | undefined> {
    const accept = [...MANIFEST_TYPES, ...INDEX_TYPES].join(', ')
    const answer = await this.#get(repository, `manifests/${reference}`, { accept }, signal)
    if (answer.statusCode === 404) {
      await answer.body.dump()
      return undefined
    }
    const what = `${repository}:${reference}`
    await this.#expectOk(answer, what)
    const bytes = await limited(answer.body, MOST_MANIFEST_BYTES, what)
    const digest: Digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
    if (isDigest(reference) && digest !== reference) {
      throw new RegistryFailed(`${this.#url.host} gave ${digest} for ${repository}@${reference}`)
    }
    const mediaType = String(answer.headers['content-type'] ?? '').split(';', 1)[0] as string
    return { digest, mediaType, bytes }
  }

  /** The bytes of a blob, unchecked: who stores them names the digest that they must have. */
  async blob(repository: string, digest: Digest, signal: AbortSignal): Promise<Readable> {
    const answer = await this.#get(repository, `blobs/${digest}`, {}, signal)
    await this.#expectOk(answer, `${repository}@${digest}`)
    return answer.body
  }

  async close(): Promise<void> {
    await this.#agent.destroy()
  }

  async #get(repository: string, path: string, headers: Record<string, string>, signal: AbortSignal) {
    const url = new URL(`/v2/${repository}/${path}`, this.#url)
    const known = this.#authorizations.get(repository)
    const answer = await this.#follow(url, known === undefined ? headers : { ...headers, authorization: known }, signal)
    if (answer.statusCode !== 401) return answer
    await answer.body.dump()
    const challenge = String(answer.headers['www-authenticate'] ?? '')
    const ask = (of: URL, sent: Record<string, string>) => this.#follow(of, sent, signal)
    const authorization = await tokenFor(challenge, repository, this.#url, this.#credential, ask)
    this.#authorizations.set(repository, authorization)
    return await this.#follow(url, { ...headers, authorization }, signal)
  }

  async #follow(from: URL, headers: Record<string, string>, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    let [url, sent] = [from, headers]
    for (let hops = 0; hops <= MOST_REDIRECTS; hops++) {
      const answer = await this.#ask(url, sent, signal)
      const location = answer.headers.location
      if (answer.statusCode < 301 || answer.statusCode > 308 || typeof location !== 'string') return answer
      await answer.body.dump()
      const next = new URL(location, url)
      if (next.protocol !== 'https:' && next.protocol !== this.#url.protocol) {
        throw new RegistryFailed(`${url.host} redirects to ${next.protocol}//${next.host}, which is not allowed`)
      }
      if (next.origin !== url.origin) {
        const { authorization: _kept, ...rest } = sent
        sent = rest
      }
      url = next
    }
    throw new RegistryFailed(`${from.host} redirects more than ${MOST_REDIRECTS} times`)
  }

  async #ask(url: URL, headers: Record<string, string>, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    if (this.#guarded && hostIsPrivate(url.hostname)) {
      throw new RegistryFailed(
        `${url.host} is a private address, and only the registry of MEADOW_BASE_REGISTRY may be at one`,
      )
    }
    try {
      return await request(url, { dispatcher: this.#agent, headers, signal })
    } catch (error) {
      signal.throwIfAborted()
      const { message, code } = error as NodeJS.ErrnoException
      throw new RegistryFailed(`${url.origin} does not answer: ${message || code}`, 0, error)
    }
  }

  async #expectOk({ statusCode, body }: Dispatcher.ResponseData, what: string): Promise<void> {
    if (statusCode === 200) return
    await body.dump()
    throw new RegistryFailed(`${this.#url.host} answers ${statusCode} for ${what}`, statusCode)
  }
}

async function limited(body: AsyncIterable<Buffer>, most: number, what: string): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of body) {
    bytes += chunk.length
    if (bytes > most) throw new RegistryFailed(`the manifest of ${what} has more than ${most} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
