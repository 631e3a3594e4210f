import type { IncomingMessage } from 'node:http'
import type { RequestHandler } from 'express'
import { ApiError } from './errors.ts'

const LOOPBACK = ['localhost', '127.0.0.1', '[::1]']

/**
 * Whether a request's `Host` is one of ours: a web page that points its own name at this address (DNS rebinding) gets no
 * answer. Ports are not compared, as a port may be forwarded.
 * @param hosts further host names and addresses, IPv6 addresses in brackets
 */
export function hostCheck(hosts: readonly string[]): (request: IncomingMessage) => boolean {
  const known = new Set([...LOOPBACK, ...hosts].map((host) => host.toLowerCase()))
  return (request) => known.has(hostOf(request) ?? '')
}

/** Refuses requests whose host is none of ours. */
export function onlyHosts(isOurs: (request: IncomingMessage) => boolean): RequestHandler {
  return (request, _response, next) => {
    if (!isOurs(request)) {
      const hint = 'Set MEADOW_PUBLIC_URL to the URL that clients use.'
      throw new ApiError(421, 'unknown-host', `host: ${hostOf(request) ?? 'it'} is no name of this service`, hint)
    }
    next()
  }
}

function hostOf({ headers }: IncomingMessage): string | undefined {
  return /^([^:[\]]+|\[[^\]]+\])(?::\d+)?$/.exec(headers.host ?? '')?.[1]?.toLowerCase()
}
