import { type Kysely, sql } from 'kysely'
import type { Digest } from '../blobs/blobs.ts'
import type { Domain } from '../policy/domain.ts'
import { newId } from './ids.ts'
import { nearest } from './nearest.ts'
import type { BuildRow, EnvironmentRow, StateDatabase } from './schema.ts'

type Db = Kysely<StateDatabase>

/** Written out, not as parameters: only so does the partial index serve. */
const ACTIVE = sql<boolean>`state in ('queued', 'building')`

/** The build of a domain and key that is queued or building, made where there is none. In a unit. */
export async function openBuild(
  db: Db,
  { domain, key, request, now }: { domain: Domain; key: string; request: string; now: number },
): Promise<{ build: BuildRow; created: boolean }> {
  const active = await db
    .selectFrom('builds')
    .selectAll()
    .where('domain', '=', domain)
    .where('key', '=', key)
    .where(ACTIVE)
    .executeTakeFirst()
  if (active !== undefined) return { build: active, created: false }
  const build: BuildRow = {
    id: newId('bld'),
    domain,
    key,
    state: 'queued',
    request,
    message: null,
    hint: null,
    cache: null,
    image: null,
    created: now,
    finished: null,
  }
  await db.insertInto('builds').values(build).execute()
  return { build, created: true }
}

/** A build by its id. */
export async function buildById(db: Db, id: string): Promise<BuildRow | undefined> {
  return await db.selectFrom('builds').selectAll().where('id', '=', id).executeTakeFirst()
}

/** Marks a build that has not ended as building. Whether it had not. */
export async function startBuild(db: Db, id: string): Promise<boolean> {
  return await change(db, id, { state: 'building' })
}

/** Ends a build well; `cache` is its CacheAccount as JSON. Whether it had not ended before. */
export async function finishBuild(
  db: Db,
  { id, image, cache, now }: { id: string; image: Digest; cache: string; now: number },
): Promise<boolean> {
  return await change(db, id, { state: 'finished', image, cache, finished: now })
}

/** Ends a build badly: what is at fault, and the fix. Whether it had not ended before. */
export async function failBuild(
  db: Db,
  { id, message, hint, now }: { id: string; message: string; hint: string; now: number },
): Promise<boolean> {
  return await change(db, id, { state: 'failed', message, hint, finished: now })
}

/** The build that a commit and its interpreter request lead to, in the first of the domains that knows one. */
export async function environmentBuild(
  db: Db,
  domains: readonly Domain[],
  commit: string,
  request: string,
): Promise<BuildRow | undefined> {
  const found = await db
    .selectFrom('environments')
    .selectAll()
    .where('domain', 'in', domains)
    .where('commit_id', '=', commit)
    .where('request', '=', request)
    .execute()
  const environment = nearest(domains, found)
  return environment === undefined ? undefined : await buildById(db, environment.build)
}

/** Says which build a commit and its interpreter request lead to, from now on. */
export async function saveEnvironment(db: Db, environment: EnvironmentRow): Promise<void> {
  await db
    .insertInto('environments')
    .values(environment)
    .onConflict((conflict) =>
      conflict.columns(['domain', 'commit_id', 'request']).doUpdateSet({ build: environment.build }),
    )
    .execute()
}

async function change(db: Db, id: string, values: Partial<BuildRow>): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('builds')
    .set(values)
    .where('id', '=', id)
    .where(ACTIVE)
    .executeTakeFirst()
  return numUpdatedRows === 1n
}
