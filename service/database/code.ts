import type { Kysely } from 'kysely'
import type { Digest } from '../blobs/blobs.ts'
import type { Domain } from '../policy/domain.ts'
import { nearest } from './nearest.ts'
import type { BundleRow, StateDatabase } from './schema.ts'

type Db = Kysely<StateDatabase>

/** Digests in one statement. */
const AT_ONCE = 500

/** The bundle of a commit (or of a mirrored root, by the digest of its index), in the first of the domains that has it. */
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

/** Lets a domain name blobs that it uploaded or was shown; at least one. */
export async function grant(
  db: Db,
  { domain, digests, now }: { domain: Domain; digests: readonly Digest[]; now: number },
): Promise<void> {
  await db
    .insertInto('grants')
    .values(digests.map((digest) => ({ domain, digest, created: now })))
    .onConflict((conflict) => conflict.doNothing())
    .execute()
}

/** Which of many blobs a domain may name. */
export async function grantedAmong(db: Db, domain: Domain, digests: readonly Digest[]): Promise<Set<Digest>> {
  const found = new Set<Digest>()
  for (let at = 0; at < digests.length; at += AT_ONCE) {
    const rows = await db
      .selectFrom('grants')
      .select('digest')
      .where('domain', '=', domain)
      .where('digest', 'in', digests.slice(at, at + AT_ONCE))
      .execute()
    for (const { digest } of rows) found.add(digest)
  }
  return found
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
