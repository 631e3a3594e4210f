import type { Kysely } from 'kysely'
import { type Digest, isDigest } from '../blobs/blobs.ts'
import type { ManifestRow, StateDatabase, TagRow } from './schema.ts'

type Db = Kysely<StateDatabase>

/** Puts a manifest, whose bytes are a blob, into a repository of the embedded registry. */
export async function putManifest(db: Db, manifest: ManifestRow): Promise<void> {
  await db
    .insertInto('manifests')
    .values(manifest)
    .onConflict((conflict) =>
      conflict.columns(['repository', 'digest']).doUpdateSet({ media_type: manifest.media_type }),
    )
    .execute()
}

/** Takes a manifest, and the tags that point at it, out of a repository. */
export async function dropManifest(db: Db, repository: string, digest: Digest): Promise<void> {
  for (const table of ['tags', 'manifests'] as const) {
    await db.deleteFrom(table).where('repository', '=', repository).where('digest', '=', digest).execute()
  }
}

/** Points a tag at a manifest of its repository. */
export async function putTag(db: Db, tag: TagRow): Promise<void> {
  await db
    .insertInto('tags')
    .values(tag)
    .onConflict((conflict) => conflict.columns(['repository', 'tag']).doUpdateSet({ digest: tag.digest }))
    .execute()
}

/** A manifest of a repository by its digest or tag. */
export async function findManifest(db: Db, repository: string, reference: string): Promise<ManifestRow | undefined> {
  const manifests = db.selectFrom('manifests').selectAll('manifests').where('manifests.repository', '=', repository)
  if (isDigest(reference)) return await manifests.where('manifests.digest', '=', reference).executeTakeFirst()
  return await manifests
    .innerJoin('tags', (join) =>
      join
        .onRef('tags.repository', '=', 'manifests.repository')
        .onRef('tags.digest', '=', 'manifests.digest')
        .on('tags.tag', '=', reference),
    )
    .executeTakeFirst()
}

/** The tags of a repository, in order. */
export async function listTags(db: Db, repository: string): Promise<string[]> {
  const rows = await db.selectFrom('tags').select('tag').where('repository', '=', repository).orderBy('tag').execute()
  return rows.map((row) => row.tag)
}
