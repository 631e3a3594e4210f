import type { Kysely } from 'kysely'
import type { Digest } from '../blobs/blobs.ts'
import type { Domain } from '../policy/domain.ts'
import { nearest } from './nearest.ts'
import type { BundleRow, StateDatabase } from './schema.ts'

type Db = Kysely<StateDatabase>

/** The bundle of a commit, in the first of the domains that has it. */
export async function bundleOf(db: Db, domains: readonly Domain[], commit: string): Promise<BundleRow | undefined> {
  const found = await db
    .selectFrom('bundles')
    .selectAll()
    .where('domain', 'in', domains)
    .where('commit_id', '=', commit)
    .execute()
  return nearest(domains, found)
}

/** Stores which bundle a commit has; the first one stays. */
export async function saveBundle(db: Db, bundle: BundleRow): Promise<void> {
  await db
    .insertInto('bundles')
    .values(bundle)
    .onConflict((conflict) => conflict.doNothing())
    .execute()
}

/** Lets a domain name a blob that it uploaded or was shown. */
export async function grant(
  db: Db,
  { domain, digest, now }: { domain: Domain; digest: Digest; now: number },
): Promise<void> {
  await db
    .insertInto('grants')
    .values({ domain, digest, created: now })
    .onConflict((conflict) => conflict.doNothing())
    .execute()
}

/** Whether one of the domains may name a blob. */
export async function granted(db: Db, domains: readonly Domain[], digest: Digest): Promise<boolean> {
  const found = await db
    .selectFrom('grants')
    .select('digest')
    .where('domain', 'in', domains)
    .where('digest', '=', digest)
    .executeTakeFirst()
  return found !== undefined
}
