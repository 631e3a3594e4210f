import { type Kysely, sql } from 'kysely'
import type { Outcome } from '../../common/events.ts'
import type { Domain } from '../policy/domain.ts'
import { newId } from './ids.ts'
import type { RunRow, StateDatabase } from './schema.ts'

type Db = Kysely<StateDatabase>

/** Written out, not as a parameter: only so does the partial index serve. */
const UNFINISHED = sql<boolean>`state <> 'finished'`

export interface NewRun {
  domain: Domain
  repository: string
  commit: string
  /** RunRequest as JSON. */
  request: string
  build?: string
  now: number
}

/** Stores a new run, queued. */
export async function createRun(db: Db, run: NewRun): Promise<RunRow> {
  const row: RunRow = {
    id: newId('run'),
    domain: run.domain,
    repository: run.repository,
    commit_id: run.commit,
    request: run.request,
    state: 'queued',
    outcome: null,
    exit_code: null,
    message: null,
    hint: null,
    build: run.build ?? null,
    image: null,
    cache: null,
    node: null,
    container: null,
    cancel: 0,
    created: run.now,
    started: null,
    finished: null,
    ms_to_start: null,
    result: null,
  }
  await db.insertInto('runs').values(row).execute()
  return row
}

/** A run by its id. */
export async function runById(db: Db, id: string): Promise<RunRow | undefined> {
  return await db.selectFrom('runs').selectAll().where('id', '=', id).executeTakeFirst()
}

/** A repository's runs, newest first; those older than the run `before`, where it is given. */
export async function listRuns(
  db: Db,
  { repository, limit, before }: { repository: string; limit: number; before?: string | undefined },
): Promise<RunRow[]> {
  let query = db.selectFrom('runs').selectAll().where('repository', '=', repository)
  if (before !== undefined) query = query.where('id', '<', before)
  return await query.orderBy('id', 'desc').limit(limit).execute()
}

/** What changes while a run lives. */
export type RunPatch = Partial<
  Pick<RunRow, 'domain' | 'build' | 'image' | 'cache' | 'node' | 'container' | 'started' | 'ms_to_start'> & {
    state: Exclude<RunRow['state'], 'finished'>
  }
>

/** Changes a run that has not finished. Whether it had not. */
export async function updateRun(db: Db, id: string, patch: RunPatch): Promise<boolean> {
  return await change(db, id, patch)
}

export interface RunEnd {
  outcome: Outcome
  /** Only where the process exited. */
  exitCode?: number | undefined
  message?: string | undefined
  hint?: string | undefined
  /** JSON: what the function returned. */
  result?: string | undefined
  now: number
}

/** Ends a run. False where it had ended before; nothing is changed then. */
export async function finishRun(db: Db, id: string, end: RunEnd): Promise<boolean> {
  return await change(db, id, {
    state: 'finished',
    outcome: end.outcome,
    exit_code: end.exitCode ?? null,
    message: end.message ?? null,
    hint: end.hint ?? null,
    result: end.result ?? null,
    finished: end.now,
  })
}

/** Asks for a run's end. False where it has ended. The unit should then `notify('cancel:<run>')`. */
export async function requestCancel(db: Db, id: string): Promise<boolean> {
  return await change(db, id, { cancel: 1 })
}

/** All runs that have not finished, oldest first. */
export async function unfinishedRuns(db: Db): Promise<RunRow[]> {
  return await db.selectFrom('runs').selectAll().where(UNFINISHED).orderBy('id').execute()
}

async function change(db: Db, id: string, values: Partial<RunRow>): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('runs')
    // An empty patch would be no statement: it sets the id to itself.
    .set({ id, ...values })
    .where('id', '=', id)
    .where(UNFINISHED)
    .executeTakeFirst()
  return numUpdatedRows === 1n
}
