import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { Blobs } from '../../service/blobs/blobs.ts'
import type { Database } from '../../service/database/database.ts'
import { createFetcher } from '../../service/fetch/fetcher.ts'
import { createSource, type Source, type SourceParts } from '../../service/source/source.ts'

/** A source on a git host, as wire.ts makes it; what it fetched lies in a folder of the test. */
export function testSource(
  t: Pick<TestContext, 'after'>,
  folder: string,
  {
    gitUrl,
    caBundle,
    ...parts
  }: { database: Database; blobs: Blobs; gitUrl: URL; caBundle?: string } & Pick<SourceParts, 'limits'>,
): Source {
  const limits = { backoff: 1, stall: 5000, attempts: 2 }
  const fetcher = createFetcher({ allowedHosts: [gitUrl.host], folder: join(folder, 'fetched'), limits })
  t.after(() => fetcher.close())
  const checkout = { folder: join(folder, 'checkouts'), gitUrl, caBundle, timeout: 20_000 }
  const source = createSource({ ...parts, fetcher, checkout })
  t.after(() => source.close())
  return source
}
