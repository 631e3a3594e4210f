import { spawn } from 'node:child_process'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { LfsHost } from './lfs.ts'

/** How a git host behaves. */
export interface GitHost {
  url: URL
  /** Answers to come instead of git's: a status, or `hang`. */
  fault: number | 'hang' | undefined
  /** Repositories that are not shown without credentials, by their paths. */
  secret: string[]
  /** Paths that were asked for, with their query. */
  asked: string[]
  /** What its repositories keep by Git LFS. */
  lfs: LfsHost
}

/**
 * Serves the bare repositories below a folder by git's own `http-backend`, on the loopback, until the test ends.
 * @param tls key and certificate, where it is to be https:
 */
export async function serveGit(
  t: { after(end: () => Promise<void>): void },
  folder: string,
  tls?: { key: Buffer; cert: Buffer },
): Promise<GitHost> {
  const lfs = new LfsHost(() => host.url.origin)
  const host: GitHost = { url: new URL('http://127.0.0.1'), fault: undefined, secret: [], asked: [], lfs }
  const onRequest = (request: IncomingMessage, response: ServerResponse) => {
    host.asked.push(request.url ?? '')
    const fault = host.secret.some((path) => request.url?.startsWith(path)) ? 401 : host.fault
    if (fault === 'hang') return
    if (fault !== undefined) {
      response.writeHead(fault, fault === 401 ? { 'www-authenticate': 'Basic realm="git"' } : {}).end()
      return
    }
    if (!lfs.answer(request, response)) answer(folder, request, response)
  }
  const server = tls ? createTlsServer(tls, onRequest) : createServer(onRequest)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => close(server))
  host.url = new URL(`${tls ? 'https' : 'http'}://127.0.0.1:${(server.address() as AddressInfo).port}`)
  return host
}

async function close(server: Server): Promise<void> {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
}

/** One CGI call (RFC 3875). */
function answer(folder: string, request: IncomingMessage, response: ServerResponse): void {
  const { pathname, search } = new URL(request.url ?? '/', 'http://localhost')
  const header = (name: string) => String(request.headers[name] ?? '')
  const child = spawn('git', ['http-backend'], {
    env: {
      PATH: process.env.PATH,
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_PROJECT_ROOT: folder,
      GIT_HTTP_EXPORT_ALL: '1',
      PATH_INFO: decodeURIComponent(pathname),
      QUERY_STRING: search.slice(1),
      REQUEST_METHOD: request.method ?? 'GET',
      CONTENT_TYPE: header('content-type'),
      HTTP_CONTENT_ENCODING: header('content-encoding'),
      GIT_PROTOCOL: header('git-protocol'),
      REMOTE_ADDR: '127.0.0.1',
    },
  })
  child.stdin.on('error', () => undefined)
  request.pipe(child.stdin)
  let head = Buffer.alloc(0)
  const onHead = (chunk: Buffer) => {
    head = Buffer.concat([head, chunk])
    const end = head.indexOf('\r\n\r\n')
    if (end < 0) return
    child.stdout.off('data', onHead)
    for (const line of head.toString('latin1', 0, end).split('\r\n')) {
      const [name = '', value = ''] = line.split(/: (.*)/s)
      if (name.toLowerCase() === 'status') response.statusCode = Number.parseInt(value, 10)
      else response.setHeader(name, value)
    }
    response.write(head.subarray(end + 4))
    child.stdout.pipe(response)
  }
  child.stdout.on('data', onHead)
  child.on('close', () => response.end())
}
