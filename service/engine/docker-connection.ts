import { once } from 'node:events'
import * as http from 'node:http'
import * as https from 'node:https'
import type { Socket } from 'node:net'
import { json } from 'node:stream/consumers'
import Docker from 'dockerode'
import { engineError } from './docker-errors.ts'
import { EngineUnavailable } from './engine.ts'

/** How to reach Docker. */
export interface DockerAddress {
  /** Default: `/var/run/docker.sock`, where `host` is not set. */
  socketPath?: string
  /** `tcp://host:2375` or `https://host:2376` */
  host?: string
  /** PEM, for `https:`. */
  tls?: { ca: string; cert: string; key: string }
}

/** What the types of dockerode do not say: every call can be given up. */
export type DockerClient = Omit<Docker, 'info' | 'version'> & {
  info(options: { abortSignal: AbortSignal }): Promise<{
    ServerVersion: string
    OSType: string
    Architecture: string
    MemTotal: number
    NCPU: number
  }>
  version(options: { abortSignal: AbortSignal }): Promise<{ ApiVersion: string; MinAPIVersion?: string }>
}

/** The newest API version whose meaning we know; Docker 29 refuses less, older engines speak less. */
const API_VERSION = '1.44'
const PING_LIMIT = 10_000

/** One engine's address, its negotiated API version and its connections. */
export class DockerConnection {
  /** For messages. */
  readonly where: string
  readonly #docker: DockerClient
  readonly #agent: http.Agent
  readonly #target: https.RequestOptions
  #negotiated: Promise<string> | undefined

  constructor(address: DockerAddress) {
    const url = address.host === undefined ? undefined : new URL(address.host)
    if (url && !['tcp:', 'http:', 'https:'].includes(url.protocol)) {
      throw new RangeError(
        `${address.host} is no address of Docker; give tcp://host:port, https://host:port or a socket`,
      )
    }
    const secure = url?.protocol === 'https:'
    const target = url
      ? { host: url.hostname, port: Number(url.port || (secure ? 2376 : 2375)) }
      : { socketPath: address.socketPath ?? '/var/run/docker.sock' }
    this.where = url ? `${url.protocol}//${url.host}` : `unix://${target.socketPath}`
    // A connection a call: one that is kept fails the next call when the engine was started anew in between.
    this.#agent = secure ? new https.Agent() : new http.Agent()
    this.#target = { ...target, ...address.tls, protocol: secure ? 'https:' : 'http:' }
    // All four are named, because dockerode takes what is not from DOCKER_HOST.
    const names = { host: undefined, port: undefined, socketPath: undefined, protocol: secure ? 'https' : 'http' }
    const options = { ...names, ...target, ...address.tls, agent: this.#agent }
    this.#docker = new Docker(options as Docker.DockerOptions) as unknown as DockerClient
  }

  /**
   * Does one call.
   * @param doing what it does, for messages: "create a container"
   * @param limit milliseconds until it is given up; undefined where `signal` alone ends it
   * @throws {EngineUnavailable | DiskFull | ContainerMissing | EngineRefused}
   */
  async call<T>(
    doing: string,
    limit: number | undefined,
    use: (docker: DockerClient, abortSignal: AbortSignal) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    signal?.throwIfAborted()
    try {
      await this.#negotiate()
      const limits = limit === undefined ? [] : [AbortSignal.timeout(limit)]
      const either = AbortSignal.any([...(signal ? [signal] : []), ...limits])
      return await unlessAborted(use(this.#docker, either), either)
    } catch (error) {
      signal?.throwIfAborted()
      const typed = engineError(error, doing, this.where)
      // It may come back as another version.
      if (typed instanceof EngineUnavailable) this.#negotiated = undefined
      throw typed
    }
  }

  /** Opens a two-way stream of bytes (`101 Upgraded`). */
  async hijack(doing: string, path: string, limit: number): Promise<Socket> {
    return this.call(doing, limit, async (_docker, signal) => {
      const request = await this.#post(path, signal, { connection: 'Upgrade', upgrade: 'tcp' })
      const { promise, resolve, reject } = Promise.withResolvers<Socket>()
      request.on('error', reject)
      request.on('upgrade', (_response, socket, head) => {
        if (head.length > 0) socket.unshift(head)
        resolve(socket as Socket)
      })
      request.on('response', (response) => refusal(response).then(reject, reject))
      return promise
    })
  }

  /**
   * Asks for JSON that may be long in coming. dockerode's own calls never end when the connection breaks between
   * the head and the body of an answer.
   */
  async ask<T>(doing: string, path: string, signal: AbortSignal | undefined): Promise<T> {
    const use = async (_docker: DockerClient, abortSignal: AbortSignal) => {
      const request = await this.#post(path, abortSignal, {})
      const [response] = (await once(request, 'response', { signal: abortSignal })) as [http.IncomingMessage]
      if (response.statusCode !== 200) throw await refusal(response)
      return (await json(response)) as T
    }
    return this.call(doing, undefined, use, signal)
  }

  /** Begins a POST without a body, which would be taken for stdin. The signal ends it until it is answered. */
  async #post(path: string, signal: AbortSignal, headers: http.OutgoingHttpHeaders): Promise<http.ClientRequest> {
    const request = (this.#target.protocol === 'https:' ? https : http).request({
      ...this.#target,
      method: 'POST',
      path: `/v${await this.#negotiate()}${path}`,
      headers: { ...headers, 'content-length': 0 },
      agent: false,
    })
    // Whoever waits for the answer hears of it; when nobody does any more, it must not end the service.
    request.on('error', () => {})
    const giveUp = () => request.destroy(signal.reason)
    signal.addEventListener('abort', giveUp)
    for (const end of ['upgrade', 'close']) request.on(end, () => signal.removeEventListener('abort', giveUp))
    if (signal.aborted) giveUp()
    request.end()
    return request
  }

  /** Ends the connections of calls under way. */
  close(): void {
    this.#agent.destroy()
  }

  #negotiate(): Promise<string> {
    this.#negotiated ??= this.#askVersion().catch((error) => {
      this.#negotiated = undefined
      throw error
    })
    return this.#negotiated
  }

  async #askVersion(): Promise<string> {
    const modem = this.#docker.modem as { version?: string }
    delete modem.version
    const abortSignal = AbortSignal.timeout(PING_LIMIT)
    const said = await unlessAborted(this.#docker.version({ abortSignal }), abortSignal)
    const version = chooseApiVersion(said.ApiVersion, said.MinAPIVersion)
    modem.version = `v${version}`
    return version
  }
}

/** Some calls of dockerode forget the signal, and some never end once it is aborted: the limit holds for all. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const abort = () => reject(signal.reason)
  signal.addEventListener('abort', abort)
  if (signal.aborted) abort()
  try {
    return await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

/** The API version to speak with an engine that knows those from `least` to `newest`. */
export function chooseApiVersion(newest: string, least: string | undefined): string {
  const older = (a: string, b: string) => minor(a) < minor(b)
  if (older(newest, API_VERSION)) return newest
  return least !== undefined && older(API_VERSION, least) ? least : API_VERSION
}

function minor(version: string): number {
  const [major = '0', rest = '0'] = version.split('.')
  return Number(major) * 1000 + Number(rest)
}

/** The error for an answer that is not an upgrade, in dockerode's shape. */
async function refusal(response: http.IncomingMessage): Promise<Error> {
  const text = Buffer.concat(await response.toArray()).toString()
  let message = text
  try {
    message = (JSON.parse(text) as { message?: string }).message ?? text
  } catch {
    // Not JSON: the text is the message.
  }
  return Object.assign(new Error(message), { statusCode: response.statusCode })
}
