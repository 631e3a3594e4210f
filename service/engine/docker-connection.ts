import * as http from 'node:http'
import * as https from 'node:https'
import type { Socket } from 'node:net'
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

/** One engine's address, its negotiated API version and its pool of connections. */
export class DockerConnection {
  /** For messages. */
  readonly where: string
  readonly #docker: DockerClient
  readonly #agent: http.Agent
  readonly #target: https.RequestOptions
  #negotiated: Promise<string> | undefined

  constructor(address: DockerAddress) {
    const url = address.host === undefined ? undefined : new URL(address.host)
    const secure = url?.protocol === 'https:'
    const target = url
      ? { host: url.hostname, port: Number(url.port || (secure ? 2376 : 2375)) }
      : { socketPath: address.socketPath ?? '/var/run/docker.sock' }
    this.where = url ? `${url.protocol}//${url.host}` : `unix://${target.socketPath}`
    this.#agent = secure ? new https.Agent({ keepAlive: true }) : new http.Agent({ keepAlive: true })
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
      // Some calls of dockerode pass the signal on and some forget it: the limit holds for both.
      const { promise: aborted, reject } = Promise.withResolvers<never>()
      either.addEventListener('abort', () => reject(either.reason), { once: true })
      return await Promise.race([use(this.#docker, either), aborted])
    } catch (error) {
      signal?.throwIfAborted()
      const typed = engineError(error, doing, this.where)
      // It may come back as another version.
      if (typed instanceof EngineUnavailable) this.#negotiated = undefined
      throw typed
    }
  }

  /** Opens a two-way stream of bytes (`101 Upgraded`). The request has no body: bytes after it would be stdin. */
  async hijack(doing: string, path: string, limit: number): Promise<Socket> {
    return this.call(doing, limit, async (_docker, signal) => {
      const version = await this.#negotiate()
      const { promise, resolve, reject } = Promise.withResolvers<Socket>()
      const request = (this.#target.protocol === 'https:' ? https : http).request({
        ...this.#target,
        method: 'POST',
        path: `/v${version}${path}`,
        headers: { connection: 'Upgrade', upgrade: 'tcp', 'content-length': 0 },
        agent: false,
      })
      // Not the request's own `signal`: that one would end the stream too.
      const giveUp = () => request.destroy(signal.reason)
      signal.addEventListener('abort', giveUp)
      request.on('close', () => signal.removeEventListener('abort', giveUp))
      request.on('error', reject)
      request.on('upgrade', (_response, socket, head) => {
        signal.removeEventListener('abort', giveUp)
        if (head.length > 0) socket.unshift(head)
        resolve(socket as Socket)
      })
      request.on('response', (response) => refusal(response).then(reject, reject))
      request.end()
      return promise
    })
  }

  /** Ends idle connections; those in use end with their calls. */
  close(): void {
    this.#agent.destroy()
  }

  #negotiate(): Promise<string> {
    this.#negotiated ??= this.#askVersion()
    return this.#negotiated
  }

  async #askVersion(): Promise<string> {
    const modem = this.#docker.modem as { version?: string }
    delete modem.version
    const said = await this.#docker.version({ abortSignal: AbortSignal.timeout(PING_LIMIT) })
    const version = chooseApiVersion(said.ApiVersion, said.MinAPIVersion)
    modem.version = `v${version}`
    return version
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
