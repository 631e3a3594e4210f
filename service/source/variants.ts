import { json } from 'node:stream/consumers'
import type { BundleLimits, Gitlink } from '../../common/bundle-format.ts'
import { BundleRefused } from '../../common/bundle-refused.ts'
import type { CodeVariant } from '../../common/contract.ts'
import type { BlobInfo, Blobs, Digest } from '../blobs/blobs.ts'
import { bundleOf, grant, granted, saveBundle } from '../database/code.ts'
import type { Database } from '../database/database.ts'
import type { Fetcher } from '../fetch/fetcher.ts'
import type { Domain } from '../policy/domain.ts'
import { type StoredBundle, storeCommit } from './bundle.ts'
import type { Checkouts } from './checkout.ts'
import { type Composition, compositionOf, storeComposition } from './compose.ts'
import { fetchLfs, type LfsPointer } from './lfs.ts'
import { RemoteError } from './remote.ts'
import { SubmoduleRefused } from './submodule-url.ts'
import { type Fetched, type Submodule, withSubmodules } from './submodules.ts'

/** What making variants needs. */
export interface VariantParts {
  database: Database
  blobs: Blobs
  checkouts: Checkouts
  /** For Git LFS: it may reach the git host, which a lock file's URLs may not. */
  fetcher: Fetcher
  /** `MEADOW_GIT_URL` */
  gitUrl: URL
  limits?: BundleLimits | undefined
}

/** A commit whose own bundle is stored, and whose code it is. */
export interface VariantOf {
  domain: Domain
  commit: string
  /** The URL that it is fetched from. */
  url: URL
  own: StoredBundle
}

interface Options {
  signal: AbortSignal
  report: (line: string) => void
}

/** The name under which a commit's bundle with submodules or files of Git LFS is known in a domain. */
export function variantKey(commit: string, { submodules, lfs }: CodeVariant): string {
  return [commit, ...(submodules ? ['submodules'] : []), ...(lfs ? ['lfs'] : [])].join('+')
}

/**
 * Makes the bundle of a commit with its submodules, or with the files that Git LFS keeps, out of its own bundle. A
 * submodule is at exactly the commit that the tree names; a file has exactly the sha256 of its pointer.
 * @throws {SubmoduleRefused}, {LfsRefused}, {BundleRefused}, {RemoteError}, or what the fetcher throws
 */
export async function makeVariant(
  parts: VariantParts,
  of: VariantOf,
  { submodules = false, lfs = false }: CodeVariant,
  options: Options,
): Promise<BlobInfo> {
  const fetch = async (submodule: Submodule) => {
    const stored = await ofSubmodule(parts, of.domain, submodule, options)
    options.report(`submodule ${submodule.path}: ${submodule.url.href} at ${submodule.id}`)
    return stored
  }
  const fetched: Fetched[] = submodules
    ? await withSubmodules({ ...parts, fetch }, of)
    : [{ prefix: '', bundle: of.own.digest, url: of.url }]
  const composition = await compositionOf(parts.blobs, fetched)
  if (lfs) for (const repository of fetched) await addLfs(parts, of.domain, repository, composition, options)
  return await storeComposition(parts.blobs, composition, { lfs, limits: parts.limits })
}

/** The bundle of a submodule's own commit. Known by its address too: it does not make its commit the domain's code. */
async function ofSubmodule(
  parts: VariantParts,
  domain: Domain,
  { path, url, id }: Submodule,
  { signal }: Options,
): Promise<StoredBundle> {
  const name = `${id}@${url.href}`
  const known = await recall(parts, [domain], name)
  if (known !== undefined) return known
  try {
    await using objects = await parts.checkouts.stranger(url, id, signal)
    const stored = await storeCommit(parts.blobs, objects, id, parts.limits)
    await remember(parts, domain, name, stored)
    return stored
  } catch (error) {
    if (error instanceof BundleRefused) throw new SubmoduleRefused(path, error.message, error.hint)
    if (!(error instanceof RemoteError)) throw error
    const hint =
      error.code === 'needs-credentials' ? 'Submodules are fetched without credentials: public ones only.' : error.hint
    throw new RemoteError(error.code, `submodule ${path}: ${error.message}`, hint)
  }
}

async function addLfs(
  { database, blobs, fetcher, limits }: VariantParts,
  domain: Domain,
  { prefix, bundle, url }: Fetched,
  composition: Composition,
  { signal, report }: Options,
): Promise<void> {
  const own = composition.filter(({ part }) => part.prefix === prefix && part.bundle === bundle)
  const pointers = [...new Map(own.flatMap(({ pointer }) => (pointer ? [[pointer.oid, pointer]] : []))).values()]
  const bytes = pointers.reduce((sum, { size }) => sum + size, 0)
  if (limits !== undefined && bytes > limits.bytes) {
    const message = `the files that Git LFS keeps have ${bytes} bytes; ${limits.bytes} are the most`
    throw new BundleRefused('size', undefined, message, 'Take the input "lfs" out, or keep less in the repository.')
  }
  const missing: LfsPointer[] = []
  for (const pointer of pointers) {
    const digest: Digest = `sha256:${pointer.oid}`
    // That the bytes are here says nothing of whether this domain may have them.
    const there = (await granted(database.state, [domain], digest)) && (await blobs.size(digest)) !== undefined
    if (!there) missing.push(pointer)
  }
  if (missing.length === 0) return
  await fetchLfs({ fetcher, blobs }, url, missing, signal)
  const now = Date.now()
  await database.write(async ({ db }) => {
    for (const { oid } of missing) await grant(db, { domain, digests: [`sha256:${oid}`], now })
  })
  report(`lfs: ${missing.length} files of ${url.href}`)
}

/** A stored bundle with its submodules' commits, by the name that `remember` was given. */
export async function recall(
  { database, blobs }: Pick<VariantParts, 'database' | 'blobs'>,
  domains: Domain[],
  name: string,
): Promise<StoredBundle | undefined> {
  const row = await bundleOf(database.state, domains, name)
  const links = row && (await bundleOf(database.state, [row.domain], `${name}:gitlinks`))
  if (!row || !links) return undefined
  for (const { digest } of [row, links]) if ((await blobs.size(digest)) === undefined) return undefined
  return {
    digest: row.digest,
    size: row.size,
    gitlinks: (await json(await blobs.open(links.digest))) as Gitlink[],
  }
}

/** Stores what a bundle is known by in a domain, and what `recall` gives. */
export async function remember(
  { database, blobs }: Pick<VariantParts, 'database' | 'blobs'>,
  domain: Domain,
  name: string,
  { digest, size, gitlinks }: StoredBundle,
): Promise<void> {
  const links = await blobs.put(Buffer.from(JSON.stringify(gitlinks)))
  const created = Date.now()
  await database.write(async ({ db }) => {
    await saveBundle(db, { domain, commit_id: name, digest, size, created })
    await saveBundle(db, { domain, commit_id: `${name}:gitlinks`, ...links, created })
  })
}
