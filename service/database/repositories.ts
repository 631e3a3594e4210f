import type { Kysely } from 'kysely'
import { newId } from './ids.ts'
import { prepared } from './prepared.ts'
import type { RepositoryRow, StateDatabase } from './schema.ts'

type Db = Kysely<StateDatabase>

/** A repository by its id (`rep_…`). */
export async function repositoryById(db: Db, id: string): Promise<RepositoryRow | undefined> {
  return await db.selectFrom('repositories').selectAll().where('id', '=', id).executeTakeFirst()
}

/** The repository that holds a name (`owner/name`, in any case of letters), made where nobody holds it. In a unit. */
export async function repositoryByName(db: Db, name: string, now: number): Promise<RepositoryRow> {
  return (await holderOf(db, name)) ?? (await create(db, { github_id: null, name, created: now }))
}

/**
 * The repository that GitHub knows by a number, as a signed delivery says it; it holds the name from now on. In a unit.
 * A row that was known only by this name becomes it; a row of another number loses the name, as renaming does.
 */
export async function repositoryByGithub(db: Db, githubId: number, name: string, now: number): Promise<RepositoryRow> {
  const holder = await holderOf(db, name)
  if (holder?.github_id === githubId && holder.name === name) return holder
  const known = await db.selectFrom('repositories').selectAll().where('github_id', '=', githubId).executeTakeFirst()
  if (holder !== undefined && holder.id !== known?.id && (known !== undefined || holder.github_id !== null)) {
    await db.updateTable('repositories').set({ name: null }).where('id', '=', holder.id).execute()
  }
  const id = known?.id ?? (holder?.github_id === null ? holder.id : undefined)
  if (id === undefined) return await create(db, { github_id: githubId, name, created: now })
  return await db
    .updateTable('repositories')
    .set({ name, github_id: githubId })
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirstOrThrow()
}

/** GitHub's names are equal where they differ in case only. */
const byLowerName = prepared((db, { lower }: { lower: string }) =>
  db
    .selectFrom('repositories')
    .selectAll()
    .where((where) => where(where.fn<string>('lower', ['name']), '=', lower)),
)

async function holderOf(db: Db, name: string): Promise<RepositoryRow | undefined> {
  return (await byLowerName(db, { lower: name.toLowerCase() })).rows[0]
}

async function create(db: Db, row: Omit<RepositoryRow, 'id'>): Promise<RepositoryRow> {
  return await db
    .insertInto('repositories')
    .values({ id: newId('rep'), ...row })
    .returningAll()
    .executeTakeFirstOrThrow()
}
