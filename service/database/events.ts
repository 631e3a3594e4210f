import type { Kysely } from 'kysely'
import type { EventRow, EventsDatabase } from './schema.ts'

type Db = Kysely<EventsDatabase>

/**
 * Stores events whose `seq` goes on from the last one of their stream, all or none; 1,000 at most, as SQLite takes
 * 32,766 parameters. Only the event writer calls this.
 */
export async function append(db: Db, rows: readonly EventRow[]): Promise<void> {
  await db.insertInto('events').values(rows).execute()
}

/** Events of a stream behind `after`, in order, `limit` at most. */
export async function readEvents(db: Db, stream: string, after: number, limit: number): Promise<EventRow[]> {
  return await db
    .selectFrom('events')
    .selectAll()
    .where('stream', '=', stream)
    .where('seq', '>', after)
    .orderBy('seq')
    .limit(limit)
    .execute()
}

/** The number of a stream's last event; 0 where it has none. */
export async function lastSeq(db: Db, stream: string): Promise<number> {
  const last = await db
    .selectFrom('events')
    .select('seq')
    .where('stream', '=', stream)
    .orderBy('seq', 'desc')
    .limit(1)
    .executeTakeFirst()
  return last?.seq ?? 0
}

/** How an event begins that says where its output ends; the event writer puts it so, and users can't. */
export const LOG_WITH_END = '{"kind":"log","end":'

/** Where the output of a run that is stored ends, as its container counts; 0 where there is none. */
export async function lastEnd(db: Db, stream: string): Promise<number> {
  const last = await db
    .selectFrom('events')
    .select('event')
    .where('stream', '=', stream)
    .where('event', 'like', `${LOG_WITH_END}%`)
    .orderBy('seq', 'desc')
    .limit(1)
    .executeTakeFirst()
  return last === undefined ? 0 : Number((JSON.parse(last.event) as { end?: number }).end ?? 0)
}
