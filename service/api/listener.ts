import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'

/** Time that a client has to send its headers, and a request of any kind, in milliseconds. */
const HEADERS_MS = 15_000
const REQUEST_MS = 30 * 60_000
/** What is under way when the service stops has this long. */
const CLOSE_MS = 10_000
const LOOK_MS = 50

/** Where to listen. */
export interface Address {
  host: string
  port: number
}

/** A server that does not listen yet. */
export function serverOf(app: RequestListener): Server {
  return createServer({ headersTimeout: HEADERS_MS, requestTimeout: REQUEST_MS }, app)
}

/** @throws EADDRINUSE and its like, as node:net gives them */
export async function listen(server: Server, { host, port }: Address): Promise<void> {
  server.listen(port, host)
  await once(server, 'listening')
}

/** Takes no connection any more, lets requests under way finish, and cuts what is left after 10 s. */
export async function close(server: Server): Promise<void> {
  if (!server.listening) return
  const closed = once(server, 'close')
  server.close()
  // A connection whose last answer ends now would be kept for the next request.
  const idle = setInterval(() => server.closeIdleConnections(), LOOK_MS)
  const cut = setTimeout(() => server.closeAllConnections(), CLOSE_MS)
  await closed
  clearInterval(idle)
  clearTimeout(cut)
}

/** A host as it is written in URLs. */
export function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}
