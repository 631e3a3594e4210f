import { randomBytes } from 'node:crypto'

/** What an id names: a run, a build, a job, a repository. */
export type IdPrefix = 'run' | 'bld' | 'job' | 'rep'

let lastTime = 0
let sequence = 0

/**
 * A new id: the prefix, `_`, and a UUIDv7 (RFC 9562, section 5.7). Ids of one process sort in the order in which they
 * were made: its 12 bits `rand_a` count within a millisecond (section 6.2, method 1).
 */
export function newId(prefix: IdPrefix): string {
  const now = Date.now()
  sequence = now > lastTime ? 0 : sequence + 1
  // A clock that went back, or 4096 ids in one millisecond: go on from the last time.
  lastTime = Math.max(now, lastTime) + (sequence > 0xfff ? 1 : 0)
  sequence &= 0xfff
  const bytes = randomBytes(16)
  bytes.writeUIntBE(lastTime, 0, 6)
  bytes.writeUInt16BE(0x7000 | sequence, 6)
  bytes[8] = 0x80 | ((bytes[8] as number) & 0x3f)
  const hex = bytes.toString('hex')
  return `${prefix}_${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}
