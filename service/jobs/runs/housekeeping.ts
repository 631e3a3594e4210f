import type { Database } from '../../database/database.ts'
import { heartbeat } from '../../database/nodes.ts'
import { dropExpired } from '../../database/tokens.ts'
import type { Admission } from './admission.ts'

/** A node that was not heard of for several of these is taken for dead. */
const EVERY_MS = 10_000

export interface HousekeepingParts {
  database: Database
  /** The node's id. */
  node: string
  admission: Admission
  report: (message: string, error: unknown) => void
}

/** Says every few seconds that the node lives and what it has free, and forgets tokens that ran out. Returns the way to stop. */
export function keepHouse({ database, node, admission, report }: HousekeepingParts): () => void {
  const round = async () => {
    await database.write(async ({ db }) => {
      const now = Date.now()
      await heartbeat(db, { id: node, heartbeat: now, ...admission.free })
      await dropExpired(db, now)
    })
  }
  const go = () => void round().catch((error: unknown) => report('housekeeping failed; it is tried again', error))
  go()
  const timer = setInterval(go, EVERY_MS).unref()
  return () => clearInterval(timer)
}
