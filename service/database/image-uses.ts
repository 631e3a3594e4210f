import type { Kysely } from 'kysely'
import type { Digest } from '../blobs/blobs.ts'
import { GLOBAL } from '../policy/domain.ts'
import { dropManifest } from './registry.ts'
import type { ImageRow, StateDatabase } from './schema.ts'

type Db = Kysely<StateDatabase>

/** Notes when an image was of use. */
export async function useImage(db: Db, { domain, key }: Pick<ImageRow, 'domain' | 'key'>, now: number): Promise<void> {
  await db.updateTable('images').set({ used: now }).where('domain', '=', domain).where('key', '=', key).execute()
}

/** Images that were of no use since a time, the longest unused first. Those of the service's own tools stay. */
export async function unusedImages(db: Db, since: number, most: number): Promise<ImageRow[]> {
  const unused = db.selectFrom('images').selectAll().where('used', '<', since).where('domain', '!=', GLOBAL)
  return await unused.orderBy('used').limit(most).execute()
}

/**
 * Forgets an image, unless it was of use since a time; and that builds led to it, and its manifests, where no other image
 * of the domain has them. Whether it did.
 * @param repository of the registry, for its domain
 */
export async function dropImage(db: Db, image: ImageRow, repository: string, since: number): Promise<boolean> {
  const { domain, key, digest, plain } = image
  const own = db.deleteFrom('images').where('domain', '=', domain).where('key', '=', key).where('used', '<', since)
  if ((await own.executeTakeFirst()).numDeletedRows === 0n) return false
  const builds = db.selectFrom('builds').select('id').where('image', '=', digest)
  await db.deleteFrom('environments').where('build', 'in', builds).execute()
  for (const each of new Set([digest, plain])) {
    const others = db.selectFrom('images').select('key').where('domain', '=', domain)
    const other = others.where((or) => or.or([or('digest', '=', each), or('plain', '=', each)]))
    if ((await other.executeTakeFirst()) === undefined) await dropManifest(db, repository, each)
  }
  return true
}

/** Forgets layers that were written for images, so that nothing new is made of them; other digests are let be. */
export async function dropLayers(db: Db, digests: readonly Digest[], now: number): Promise<void> {
  const known = await db.selectFrom('layers').select('digest').where('digest', 'in', digests).execute()
  const dropped = [...new Set(known.map(({ digest }) => digest))]
  if (dropped.length === 0) return
  await db.deleteFrom('layers').where('digest', 'in', dropped).execute()
  const rows = dropped.map((digest) => ({ digest, since: now }))
  await db
    .insertInto('leftovers')
    .values(rows)
    .onConflict((conflict) => conflict.doNothing())
    .execute()
}

/** Bytes of layers that were forgotten before a time. */
export async function leftoversBefore(db: Db, time: number): Promise<Digest[]> {
  const rows = await db.selectFrom('leftovers').select('digest').where('since', '<', time).execute()
  return rows.map(({ digest }) => digest)
}

/** Whether a layer with these bytes was written anew. */
export async function hasLayer(db: Db, digest: Digest): Promise<boolean> {
  return (await db.selectFrom('layers').select('key').where('digest', '=', digest).executeTakeFirst()) !== undefined
}

export async function forgetLeftover(db: Db, digest: Digest): Promise<void> {
  await db.deleteFrom('leftovers').where('digest', '=', digest).execute()
}
