import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'

/**
 * Ranges that no artifact may come from. Not every reserved range: documentation ranges (203.0.113.0/24 and others)
 * are in use behind proxies that give names addresses of their own.
 */
const PRIVATE_RANGES = new Set([
  ...['unspecified', 'broadcast', 'multicast', 'linkLocal', 'loopback', 'carrierGradeNat', 'private'],
  ...['uniqueLocal'],
])

/** Whether an address is one of this machine, its link or a private network, however it is written. */
export function addressIsPrivate(address: string): boolean {
  const parsed = ipaddr.process(address)
  if (parsed.kind() === 'ipv6') {
    // Addresses of version 4 inside of others: NAT64 (RFC 6052), 6to4 (RFC 3056), IPv4-compatible (RFC 4291).
    const inner = innerAddress(parsed as ipaddr.IPv6)
    if (inner !== undefined) return addressIsPrivate(inner)
  }
  return PRIVATE_RANGES.has(parsed.range())
}

/** Whether a host of a URL is, without asking a name server, known to be private. */
export function hostIsPrivate(hostname: string): boolean {
  const bare = hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '')
  if (isIP(bare)) return addressIsPrivate(bare)
  return bare === 'localhost' || bare.endsWith('.localhost')
}

function innerAddress(address: ipaddr.IPv6): string | undefined {
  const parts = address.parts
  const v4 = (high = 0, low = 0) => `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`
  if (parts[0] === 0x64 && parts[1] === 0xff9b) return v4(parts[6], parts[7])
  if (parts[0] === 0x2002) return v4(parts[1], parts[2])
  const compatible = parts.slice(0, 6).every((part) => part === 0) && (parts[6] !== 0 || (parts[7] ?? 0) > 1)
  return compatible ? v4(parts[6], parts[7]) : undefined
}
