import type { Download } from '../../fetch/errors.ts'
import type { Artifact } from '../../interpreter/lock.ts'

/** What the fetcher is asked for, to have an artifact's bytes. */
export function downloadOf({ name, url, sha256, size }: Artifact): Download {
  if (url === undefined) throw new Error(`${name}: it has no URL`)
  return { name, url, ...(sha256 !== undefined && { sha256 }), ...(size !== undefined && { size }) }
}
