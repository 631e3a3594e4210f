import { type Kysely, sql } from 'kysely'
import { newId } from './ids.ts'
import { prepared } from './prepared.ts'
import type { JobKind, JobRow, StateDatabase } from './schema.ts'

type Db = Kysely<StateDatabase>

/** Written out, not as parameters: only so do the partial indexes serve. */
const ACTIVE = sql<boolean>`state in ('queued', 'running')`
const QUEUED = sql<boolean>`state = 'queued'`

/** Somebody else may hold the job by now: what was done under this lease must not be committed. */
export class LeaseLost extends Error {
  override name = 'LeaseLost'
  constructor(id: string, fence: number) {
    super(`job ${id}: claim ${fence} is not the holder any more`)
  }
}

/** A claim on a job: its id, and the fencing number that the claim gave. */
export interface Lease {
  id: string
  fence: number
}

export interface NewJob {
  kind: JobKind
  key: string
  /** Jobs of this kind and group that are still queued give way to this one. */
  supersedes?: string
  payload: string
  /** Not before this time. */
  runAfter?: number
  now: number
}

type QueuedJob = Pick<JobRow, 'id' | 'kind' | 'key' | 'supersedes' | 'payload' | 'run_after' | 'created'>

/** Newest wins: what was queued for the group before is not worth doing any more. What runs goes on. */
const supersede = prepared(
  (db, { kind, group, key, now }: { kind: JobKind; group: string; key: string; now: number }) =>
    db
      .updateTable('jobs')
      .set({ state: 'superseded', finished: now })
      .where('kind', '=', kind)
      .where('supersedes', '=', group)
      .where(QUEUED)
      .where('key', '!=', key),
)

const insertUnlessActive = prepared((db, { id, kind, key, supersedes, payload, run_after, created }: QueuedJob) =>
  db
    .insertInto('jobs')
    .values({
      ...{ id, kind, key, supersedes, payload, run_after, created },
      state: 'queued',
      lease_owner: null,
      lease_until: null,
      fence: 0,
      attempts: 0,
      error: null,
      finished: null,
    })
    .onConflict((conflict) => conflict.doNothing()),
)

/**
 * Queues a job, unless one of its kind and key is queued or running. In a unit, which should then `notify('jobs')`.
 * Gives the new one's id.
 */
export async function enqueue(db: Db, job: NewJob): Promise<string | undefined> {
  const { kind, key, payload, now } = job
  if (job.supersedes !== undefined) await supersede(db, { kind, group: job.supersedes, key, now })
  const id = newId('job')
  const { numAffectedRows } = await insertUnlessActive(db, {
    ...{ id, kind, key, payload },
    supersedes: job.supersedes ?? null,
    run_after: job.runAfter ?? now,
    created: now,
  })
  return numAffectedRows === 1n ? id : undefined
}

/** A job by its id. */
export async function jobById(db: Db, id: string): Promise<JobRow | undefined> {
  return await db.selectFrom('jobs').selectAll().where('id', '=', id).executeTakeFirst()
}

/**
 * Takes a job of the first of those kinds that has one: the one that has waited longest, queued and due, or running
 * under a lease that ran out. In a unit.
 */
export async function claim(
  db: Db,
  { owner, kinds, now, leaseMs }: { owner: string; kinds: readonly JobKind[]; now: number; leaseMs: number },
): Promise<JobRow | undefined> {
  for (const kind of kinds) {
    const job = await db
      .updateTable('jobs')
      .set((set) => ({
        state: 'running',
        lease_owner: owner,
        lease_until: now + leaseMs,
        fence: set('fence', '+', 1),
        attempts: set('attempts', '+', 1),
      }))
      .where('id', '=', free(db, kind, now))
      .returningAll()
      .executeTakeFirst()
    if (job !== undefined) return job
  }
  return undefined
}

/** The id of the job of a kind that is next. */
function free(db: Db, kind: JobKind, now: number) {
  return db
    .selectFrom('jobs')
    .select('id')
    .where('kind', '=', kind)
    .where(ACTIVE)
    .where((where) =>
      where.or([
        where.and([where('state', '=', 'queued'), where('run_after', '<=', now)]),
        where.and([where('state', '=', 'running'), where('lease_until', '<=', now)]),
      ]),
    )
    .orderBy('run_after')
    .orderBy('id')
    .limit(1)
}

/** When the next job of those kinds that is queued becomes due, in milliseconds since 1970. */
export async function nextDue(db: Db, kinds: readonly JobKind[]): Promise<number | undefined> {
  const next = await db
    .selectFrom('jobs')
    .select('run_after')
    .where('kind', 'in', kinds)
    .where(QUEUED)
    .orderBy('run_after')
    .limit(1)
    .executeTakeFirst()
  return next?.run_after
}

/** Makes a lease last longer. False where it is not held any more. */
export async function renew(
  db: Db,
  { id, owner, fence, until }: Lease & { owner: string; until: number },
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('jobs')
    .set({ lease_until: until })
    .where('id', '=', id)
    .where('fence', '=', fence)
    .where('lease_owner', '=', owner)
    .where('state', '=', 'running')
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

/**
 * Fences a unit: what else it does is committed only if the lease is still held then.
 * @throws {LeaseLost} where it is not
 */
export async function holdLease(db: Db, { id, fence }: Lease): Promise<void> {
  const held = await db
    .selectFrom('jobs')
    .select('id')
    .where('id', '=', id)
    .where('fence', '=', fence)
    .where('state', '=', 'running')
    .executeTakeFirst()
  if (held === undefined) throw new LeaseLost(id, fence)
}

/** @throws {LeaseLost} */
export async function finishJob(db: Db, { id, fence, now }: Lease & { now: number }): Promise<void> {
  await end(db, { id, fence }, { state: 'done', finished: now, error: null })
}

/** @throws {LeaseLost} */
export async function failJob(
  db: Db,
  { id, fence, error, now }: Lease & { error: string; now: number },
): Promise<void> {
  await end(db, { id, fence }, { state: 'failed', finished: now, error })
}

/**
 * Puts a job back into the queue after an attempt that failed.
 * @throws {LeaseLost}
 */
export async function retryLater(
  db: Db,
  { id, fence, runAfter, error }: Lease & { runAfter: number; error: string },
): Promise<void> {
  await end(db, { id, fence }, { state: 'queued', run_after: runAfter, error })
}

/**
 * Puts a job back into the queue as if it had not been claimed: the attempt is not counted.
 * @throws {LeaseLost}
 */
export async function handBack(db: Db, { id, fence }: Lease): Promise<void> {
  const { attempts } = await db
    .selectFrom('jobs')
    .select('attempts')
    .where('id', '=', id)
    .executeTakeFirstOrThrow(() => new LeaseLost(id, fence))
  await end(db, { id, fence }, { state: 'queued', attempts: attempts - 1 })
}

/** At a node's start: puts back at once what its process before was doing. How many jobs that were. */
export async function releaseOwner(db: Db, owner: string): Promise<number> {
  const { numUpdatedRows } = await db
    .updateTable('jobs')
    .set({ state: 'queued', lease_owner: null, lease_until: null })
    .where(ACTIVE)
    .where('state', '=', 'running')
    .where('lease_owner', '=', owner)
    .executeTakeFirst()
  return Number(numUpdatedRows)
}

async function end(db: Db, { id, fence }: Lease, values: Partial<JobRow>): Promise<void> {
  const { numUpdatedRows } = await db
    .updateTable('jobs')
    .set({ ...values, lease_owner: null, lease_until: null })
    .where('id', '=', id)
    .where('fence', '=', fence)
    .where('state', '=', 'running')
    .executeTakeFirst()
  if (numUpdatedRows !== 1n) throw new LeaseLost(id, fence)
}
