import { randomUUID } from 'node:crypto'

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
  const time = lastTime.toString(16).padStart(12, '0')
  const count = sequence.toString(16).padStart(3, '0')
  // The variant and the last 62 random bits are those of any UUID.
  return `${prefix}_${time.slice(0, 8)}-${time.slice(8)}-7${count}${randomUUID().slice(18)}`
}
