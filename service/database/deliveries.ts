import type { Kysely } from 'kysely'
import { prepared } from './prepared.ts'
import type { DeliveryRow, PushRow, StateDatabase } from './schema.ts'

type Db = Kysely<StateDatabase>

/** GitHub redelivers for 3 days. The id header is not signed, so within that time the body alone tells a replay. */
const REPLAY_MS = 3 * 24 * 60 * 60 * 1000

const seenBody = prepared((db, { body, after }: { body: string; after: number }) =>
  db.selectFrom('deliveries').select('id').where('body_sha256', '=', body).where('received', '>', after),
)

const insertDelivery = prepared((db, { id, body_sha256, event, did, received }: DeliveryRow) =>
  db
    .insertInto('deliveries')
    .values({ id, body_sha256, event, did, received })
    .onConflict((conflict) => conflict.column('id').doNothing()),
)

const insertPush = prepared((db, { repository, commit_id, ref, received }: PushRow) =>
  db
    .insertInto('pushes')
    .values({ repository, commit_id, ref, received })
    .onConflict((conflict) => conflict.doNothing()),
)

/**
 * Records a webhook delivery, unless its id was seen, or its body was within 3 days. In a unit.
 * Nothing may be done for a duplicate.
 */
export async function recordDelivery(db: Db, delivery: DeliveryRow): Promise<'new' | 'duplicate'> {
  const seen = await seenBody(db, { body: delivery.body_sha256, after: delivery.received - REPLAY_MS })
  if (seen.rows.length > 0) return 'duplicate'
  const { numAffectedRows } = await insertDelivery(db, delivery)
  return numAffectedRows === 1n ? 'new' : 'duplicate'
}

/** Records that a signed push of the repository named a commit. */
export async function recordPush(db: Db, push: PushRow): Promise<void> {
  await insertPush(db, push)
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
