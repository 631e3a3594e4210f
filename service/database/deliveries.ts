import type { Kysely } from 'kysely'
import type { DeliveryRow, PushRow, StateDatabase } from './schema.ts'

type Db = Kysely<StateDatabase>

/** GitHub redelivers for 3 days. The id header is not signed, so within that time the body alone tells a replay. */
const REPLAY_MS = 3 * 24 * 60 * 60 * 1000

/**
 * Records a webhook delivery, unless its id was seen, or its body was within 3 days. In a unit.
 * Nothing may be done for a duplicate.
 */
export async function recordDelivery(db: Db, delivery: DeliveryRow): Promise<'new' | 'duplicate'> {
  const seen = await db
    .selectFrom('deliveries')
    .select('id')
    .where('body_sha256', '=', delivery.body_sha256)
    .where('received', '>', delivery.received - REPLAY_MS)
    .executeTakeFirst()
  if (seen !== undefined) return 'duplicate'
  const { numInsertedOrUpdatedRows } = await db
    .insertInto('deliveries')
    .values(delivery)
    .onConflict((conflict) => conflict.column('id').doNothing())
    .executeTakeFirst()
  return numInsertedOrUpdatedRows === 1n ? 'new' : 'duplicate'
}

/** Records that a signed push of the repository named a commit. */
export async function recordPush(db: Db, push: PushRow): Promise<void> {
  await db
    .insertInto('pushes')
    .values(push)
    .onConflict((conflict) => conflict.doNothing())
    .execute()
}

/** Whether a signed push of the repository named the commit. */
export async function wasPushed(db: Db, repository: string, commit: string): Promise<boolean> {
  const push = await db
    .selectFrom('pushes')
    .select('received')
    .where('repository', '=', repository)
    .where('commit_id', '=', commit)
    .executeTakeFirst()
  return push !== undefined
}

/** The branch that a commit was pushed to last, as far as signed pushes say. */
export async function branchOf(db: Db, repository: string, commit: string): Promise<string | undefined> {
  const push = await db
    .selectFrom('pushes')
    .select('ref')
    .where('repository', '=', repository)
    .where('commit_id', '=', commit)
    .orderBy('received', 'desc')
    .limit(1)
    .executeTakeFirst()
  return push?.ref.replace(/^refs\/heads\//, '')
}
