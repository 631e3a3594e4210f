import { type Kysely, sql } from 'kysely'
import { prepared } from './prepared.ts'
import type { DeliveryRow, PushRow, StateDatabase } from './schema.ts'

type Db = Kysely<StateDatabase>

/** GitHub redelivers for 3 days. The id header is not signed, so within that time the body alone tells a replay. */
const REPLAY_MS = 3 * 24 * 60 * 60 * 1000

const insertUnlessSeen = prepared(
  (db, { id, body_sha256, event, did, received, after }: DeliveryRow & { after: number }) =>
    db
      .insertInto('deliveries')
      .columns(['id', 'body_sha256', 'event', 'did', 'received'])
      .expression(
        db
          .selectNoFrom([
            sql.val(id).as('id'),
            sql.val(body_sha256).as('body_sha256'),
            sql.val(event).as('event'),
            sql.val(did).as('did'),
            sql.val(received).as('received'),
          ])
          .where(({ not, exists, selectFrom }) =>
            not(
              exists(
                selectFrom('deliveries')
                  .select('id')
                  .where('body_sha256', '=', body_sha256)
                  .where('received', '>', after),
              ),
            ),
          ),
      )
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
  const after = delivery.received - REPLAY_MS
  const { numAffectedRows } = await insertUnlessSeen(db, { ...delivery, after })
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
