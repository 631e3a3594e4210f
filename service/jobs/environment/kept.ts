import type { Blobs } from '../../blobs/blobs.ts'
import { readJsonIfThere } from '../../blobs/read-json.ts'
import type { Database } from '../../database/database.ts'
import { findLock, saveLock } from '../../database/known.ts'
import { type Domain, readable } from '../../policy/domain.ts'

/** What keeping needs. */
export interface KeptParts {
  database: Database
  blobs: Blobs
}

/** What was found out once and kept, by its key. Undefined where it is not known, or where its bytes are gone. */
export async function findKept<T>({ database, blobs }: KeptParts, domain: Domain, key: string): Promise<T | undefined> {
  const row = await findLock(database.state, readable(domain), key)
  return row && (await readJsonIfThere<T>(blobs, row.lock))
}

/** Keeps what was found out, as JSON, for a domain and those below it. The first that is kept by a key stays. */
export async function keep(
  { database, blobs }: KeptParts,
  domain: Domain,
  keys: string[],
  value: unknown,
): Promise<void> {
  const { digest } = await blobs.put(Buffer.from(JSON.stringify(value)))
  await database.write(async ({ db }) => {
    for (const key of keys) await saveLock(db, { domain, key, lock: digest, created: Date.now() })
  })
}
