import type { Kysely } from 'kysely'
import type { Digest } from '../blobs/blobs.ts'
import type { Domain } from '../policy/domain.ts'
import { nearest } from './nearest.ts'
import type { FragmentRow, ImageRow, LayerRow, LockRow, ProbeRow, StateDatabase } from './schema.ts'

/**
 * What is known by its key. Looked up in a list of domains, nearest first; saved once: what a key leads to does not
 * change, so the first one stays.
 */
type Db = Kysely<StateDatabase>

export async function findLock(db: Db, domains: readonly Domain[], key: string): Promise<LockRow | undefined> {
  return nearest(
    domains,
    await db.selectFrom('locks').selectAll().where('domain', 'in', domains).where('key', '=', key).execute(),
  )
}

export async function saveLock(db: Db, lock: LockRow): Promise<void> {
  await db
    .insertInto('locks')
    .values(lock)
    .onConflict((conflict) => conflict.doNothing())
    .execute()
}

export async function findFragment(db: Db, domains: readonly Domain[], key: string): Promise<FragmentRow | undefined> {
  return (await findFragments(db, domains, [key])).get(key)
}

/** Of many fragments the ones that are known, by their key. */
export async function findFragments(
  db: Db,
  domains: readonly Domain[],
  keys: readonly string[],
): Promise<Map<string, FragmentRow>> {
  const found = await db
    .selectFrom('fragments')
    .selectAll()
    .where('domain', 'in', domains)
    .where('key', 'in', keys)
    .execute()
  const known = new Map<string, FragmentRow>()
  for (const fragment of found) {
    known.set(fragment.key, nearest(domains, [fragment, known.get(fragment.key) ?? fragment]) ?? fragment)
  }
  return known
}

export async function saveFragment(db: Db, fragment: FragmentRow): Promise<void> {
  await db
    .insertInto('fragments')
    .values(fragment)
    .onConflict((conflict) => conflict.doNothing())
    .execute()
}

export async function findLayer(db: Db, key: string): Promise<LayerRow | undefined> {
  return await db.selectFrom('layers').selectAll().where('key', '=', key).executeTakeFirst()
}

export async function saveLayer(db: Db, layer: LayerRow): Promise<void> {
  await db
    .insertInto('layers')
    .values(layer)
    .onConflict((conflict) => conflict.doNothing())
    .execute()
}

export async function findImage(db: Db, domains: readonly Domain[], key: string): Promise<ImageRow | undefined> {
  return nearest(
    domains,
    await db.selectFrom('images').selectAll().where('domain', 'in', domains).where('key', '=', key).execute(),
  )
}

/** The newest image of a lineage or kin, of its branch if there is one, in the first of the domains that has one. */
export async function latestImage(
  db: Db,
  domains: readonly Domain[],
  { branch, ...of }: Pick<ImageRow, 'branch'> & (Pick<ImageRow, 'lineage'> | Pick<ImageRow, 'kin'>),
): Promise<ImageRow | undefined> {
  const [column, key] = 'lineage' in of ? (['lineage', of.lineage] as const) : (['kin', of.kin] as const)
  for (const domain of domains) {
    const image = await db
      .selectFrom('images')
      .selectAll()
      .where('domain', '=', domain)
      .where(column, '=', key)
      .orderBy((order) => order('branch', '=', branch), 'desc')
      .orderBy('created', 'desc')
      .limit(1)
      .executeTakeFirst()
    if (image !== undefined) return image
  }
  return undefined
}

/** Stores an image. The newest of a key stays: one whose bytes were gone was made again, or a worn one laid out afresh. */
export async function saveImage(db: Db, image: ImageRow): Promise<void> {
  const { domain, key, ...values } = image
  await db
    .insertInto('images')
    .values(image)
    .onConflict((conflict) => conflict.columns(['domain', 'key']).doUpdateSet(values))
    .execute()
}

/** An image by the digest of its manifest, in the first of the domains that has it. */
export async function imageByDigest(db: Db, domains: readonly Domain[], digest: Digest): Promise<ImageRow | undefined> {
  return nearest(
    domains,
    await db.selectFrom('images').selectAll().where('domain', 'in', domains).where('digest', '=', digest).execute(),
  )
}

/** What a base image's Python says of itself, as JSON. */
export async function findProbe(db: Db, base: Digest): Promise<ProbeRow | undefined> {
  return await db.selectFrom('probes').selectAll().where('base', '=', base).executeTakeFirst()
}

export async function saveProbe(db: Db, probe: ProbeRow): Promise<void> {
  await db
    .insertInto('probes')
    .values(probe)
    .onConflict((conflict) => conflict.column('base').doUpdateSet({ probe: probe.probe }))
    .execute()
}
