import type { RequestHandler } from 'express'
import { ApiError } from './errors.ts'

const LOOPBACK = ['localhost', '127.0.0.1', '[::1]']

/**
 * Refuses requests whose `Host` is none of ours: a web page that points its own name at this address (DNS rebinding)
 * gets no answer. Ports are not compared, as a port may be forwarded.
 * @param hosts further host names and addresses, IPv6 addresses in brackets
 */
export function onlyHosts(hosts: readonly string[]): RequestHandler {
  const known = new Set([...LOOPBACK, ...hosts].map((host) => host.toLowerCase()))
  return (request, _response, next) => {
    const host = /^([^:[\]]+|\[[^\]]+\])(?::\d+)?$/.exec(request.headers.host ?? '')?.[1]?.toLowerCase()
    if (host === undefined || !known.has(host)) {
      const hint = 'Set MEADOW_PUBLIC_URL to the URL that clients use.'
      throw new ApiError(421, 'unknown-host', `host: ${host ?? 'it'} is no name of this service`, hint)
    }
    next()
  }
}
