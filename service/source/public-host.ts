import type { LookupAddress } from 'node:dns'
import { guardedLookup } from '../fetch/url-guard.ts'

/**
 * Settings that hold git to the public addresses that a host has now: it neither asks the name server again nor follows
 * a redirect to another host. Where a proxy is configured, that one decides what is reached.
 * @throws {PrivateAddress} for a host that has none
 */
export async function guardsFor({ hostname, port }: URL, signal: AbortSignal): Promise<string[]> {
  const settings = ['http.followRedirects=false']
  if (process.env.HTTPS_PROXY || process.env.https_proxy) return settings
  const addresses = await publicAddresses(hostname, signal)
  return [...settings, `http.curloptResolve=${hostname}:${port || 443}:${addresses.join(',')}`]
}

async function publicAddresses(hostname: string, signal: AbortSignal): Promise<string[]> {
  const { promise, resolve, reject } = Promise.withResolvers<string[]>()
  const abort = () => reject(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  guardedLookup(hostname, { all: true }, (error, found) => {
    if (error) reject(error)
    else resolve((found as LookupAddress[]).map(({ address }) => (address.includes(':') ? `[${address}]` : address)))
  })
  try {
    return await promise
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
