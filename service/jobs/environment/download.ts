import type { Download } from '../../fetch/errors.ts'
import type { Fetched, Fetcher } from '../../fetch/fetcher.ts'
import type { Artifact } from '../../interpreter/lock.ts'
import type { FirstFetches } from './first-fetches.ts'

/** An artifact's file: what was fetched for its hash, else fetched now. Dispose of it. */
export async function download(
  fetcher: Fetcher,
  artifact: Artifact,
  { fetched, signal }: { fetched?: FirstFetches | undefined; signal: AbortSignal },
): Promise<Fetched> {
  return fetched?.lend(artifact.sha256) ?? (await fetcher.fetch(downloadOf(artifact), { signal }))
}

/** What the fetcher is asked for, to have an artifact's bytes. */
function downloadOf({ name, url, sha256, size }: Artifact): Download {
  if (url === undefined) throw new Error(`${name}: it has no URL`)
  return { name, url, ...(sha256 !== undefined && { sha256 }), ...(size !== undefined && { size }) }
}
