import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'

/** What Git LFS keeps of a host's repositories, served as its batch API says; each object needs its own authorisation. */
export class LfsHost {
  /** By sha256. */
  readonly objects = new Map<string, Uint8Array>()
  /** Where it says that objects are. */
  readonly #origin: () => string
  readonly asked: string[] = []

  constructor(origin: () => string) {
    this.#origin = origin
  }

  /** Keeps a file. Its pointer, as git-lfs writes it. */
  keep(content: Uint8Array): string {
    const oid = createHash('sha256').update(content).digest('hex')
    this.objects.set(oid, content)
    return `version https://git-lfs.github.com/spec/v1\noid sha256:${oid}\nsize ${content.length}\n`
  }

  /** Whether a request was one of these. */
  answer(request: IncomingMessage, response: ServerResponse): boolean {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost')
    if (request.method === 'POST' && /^\/[\w.-]+\/[\w.-]+\.git\/info\/lfs\/objects\/batch$/.test(pathname)) {
      void this.#batch(request, response)
      return true
    }
    const oid = /^\/lfs-objects\/([0-9a-f]{64})$/.exec(pathname)?.[1]
    if (oid === undefined) return false
    this.asked.push(oid)
    const right = request.headers.authorization === `RemoteAuth ${oid.slice(0, 8)}`
    response.writeHead(right ? 200 : 403).end(right ? this.objects.get(oid) : '')
    return true
  }

  async #batch(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { operation, objects } = JSON.parse(await text(request)) as {
      operation: string
      objects: { oid: string; size: number }[]
    }
    const answers = objects.map(({ oid, size }) => {
      if (!this.objects.has(oid)) return { oid, size, error: { code: 404, message: 'Object does not exist' } }
      const header = { Authorization: `RemoteAuth ${oid.slice(0, 8)}`, Host: 'evil.example' }
      return { oid, size, actions: { [operation]: { href: `${this.#origin()}/lfs-objects/${oid}`, header } } }
    })
    response.writeHead(200, { 'content-type': 'application/vnd.git-lfs+json' })
    response.end(JSON.stringify({ transfer: 'basic', objects: answers, hash_algo: 'sha256' }))
  }
}
