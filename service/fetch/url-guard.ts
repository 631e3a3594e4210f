import { type LookupAddress, type LookupOptions, lookup } from 'node:dns'
import type { LookupFunction } from 'node:net'
import { addressIsPrivate, hostIsPrivate } from '../policy/addresses.ts'
import { type Download, FetchRefused } from './errors.ts'

/** A name that leads to private addresses only. */
export class PrivateAddress extends Error {
  override name = 'PrivateAddress'
}

/**
 * Checks a URL before anything is sent. What its name resolves to is checked when it is connected to.
 * @param isConfigured whether the operator named this host and port as an index
 * @throws {FetchRefused}
 */
export function checkUrl(download: Download, url: URL, isConfigured: boolean): void {
  const refuse = (why: string, hint: string) => {
    throw new FetchRefused(download, url, why, hint)
  }
  if (url.username || url.password) {
    refuse('holds a user name or password', 'Take it out; credentials belong into the settings of the service.')
  }
  if (isConfigured && (url.protocol === 'http:' || url.protocol === 'https:')) return
  if (url.protocol !== 'https:') refuse('is not an https: URL', 'Give an https: URL in the lock.')
  if (hostIsPrivate(url.hostname)) refuse('leads to a private address', PRIVATE_HINT)
}

export const PRIVATE_HINT =
  'If it is your own package index, name it in MEADOW_INDEX_URL; else correct the URL in the environment file.'

/** Resolves names as Node does, and leaves private addresses out, for every connection anew. */
export const guardedLookup: LookupFunction = (hostname, options: LookupOptions, callback) => {
  lookup(hostname, { ...options, all: true }, (error, found: LookupAddress[]) => {
    if (error) return callback(error, [])
    const allowed = found.filter(({ address }) => !addressIsPrivate(address))
    const [first] = allowed
    if (first === undefined) {
      const addresses = found.map(({ address }) => address).join(', ')
      return callback(new PrivateAddress(`${hostname} is ${addresses}`), [])
    }
    if (options.all) return callback(null, allowed)
    callback(null, first.address, first.family)
  })
}
