import { readJson } from '../../blobs/read-json.ts'
import { findFragments, saveFragment } from '../../database/known.ts'
import type { Fragment, StoredFragment } from '../../image/fragment.ts'
import { type Domain, GLOBAL, readable } from '../../policy/domain.ts'
import type { MakeParts } from './make-order.ts'

type Parts = Pick<MakeParts, 'database' | 'blobs'>

/** A fragment that a domain may use, by its key. */
export async function findFragment(
  { database, blobs }: Parts,
  domain: Domain,
  key: string,
): Promise<StoredFragment | undefined> {
  const row = (await findFragments(database.state, [...readable(domain), GLOBAL], [key])).get(key)
  if (row === undefined) return undefined
  const fragment = await readJson<Fragment>(blobs, row.manifest)
  // A row without its bytes is as good as none: they are made again.
  return (await blobs.size(fragment.digest)) === undefined ? undefined : { ...fragment, manifest: row.manifest }
}

/** Remembers a fragment, whose bytes are stored, for a domain and those below it. */
export async function storeFragment(
  { database, blobs }: Parts,
  domain: Domain,
  key: string,
  fragment: Fragment,
): Promise<StoredFragment> {
  const { digest: manifest } = await blobs.put(Buffer.from(JSON.stringify(fragment)))
  await database.write(({ db }) => saveFragment(db, { domain, key, manifest, created: Date.now() }))
  return { ...fragment, manifest }
}
