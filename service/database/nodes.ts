import type { Kysely } from 'kysely'
import type { NodeRow, StandbyRow, StateDatabase } from './schema.ts'

type Db = Kysely<StateDatabase>

/** Says that a node lives, and what it has free. */
export async function heartbeat(db: Db, node: NodeRow): Promise<void> {
  const { id, ...values } = node
  await db
    .insertInto('nodes')
    .values({ id, ...values })
    .onConflict((conflict) => conflict.column('id').doUpdateSet(values))
    .execute()
}

/** Stores a standby. */
export async function saveStandby(db: Db, standby: StandbyRow): Promise<void> {
  await db.insertInto('standbys').values(standby).execute()
}

/** Marks a standby that is being prepared as ready to be taken. False where it is not known any more. */
export async function readyStandby(db: Db, container: string): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('standbys')
    .set({ state: 'ready' })
    .where('container', '=', container)
    .where('state', '=', 'preparing')
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

/** All standbys of a node, in any state, oldest first. */
export async function standbysOfNode(db: Db, node: string): Promise<StandbyRow[]> {
  return await db.selectFrom('standbys').selectAll().where('node', '=', node).orderBy('created').execute()
}

/** Forgets a standby; no error where it is not known. */
export async function removeStandby(db: Db, container: string): Promise<void> {
  await db.deleteFrom('standbys').where('container', '=', container).execute()
}
