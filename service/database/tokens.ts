import type { Kysely } from 'kysely'
import type { StateDatabase, TokenRow } from './schema.ts'

type Db = Kysely<StateDatabase>

/** Stores a token by its hash. */
export async function saveToken(db: Db, token: TokenRow): Promise<void> {
  await db.insertInto('tokens').values(token).execute()
}

/** A token that has not expired, by the sha256 of its text. */
export async function tokenByHash(db: Db, hash: string, now: number): Promise<TokenRow | undefined> {
  return await db
    .selectFrom('tokens')
    .selectAll()
    .where('hash', '=', hash)
    .where('expires', '>', now)
    .executeTakeFirst()
}

/** Forgets tokens that have expired. How many they were. */
export async function dropExpired(db: Db, now: number): Promise<number> {
  const { numDeletedRows } = await db.deleteFrom('tokens').where('expires', '<=', now).executeTakeFirst()
  return Number(numDeletedRows)
}
