import { DEFAULT_INDEX } from '../interpreter/lock.ts'
import type { Probe } from '../interpreter/probe.ts'
import { type FilesRequest, ResolverRefused } from '../interpreter/resolution.ts'
import { hostIsPrivate } from '../policy/addresses.ts'
import type { Lookups } from './resolver-pool.ts'
import { indexArguments, PROJECT_CONFIG, uvProjectConfig, uvUniversalArguments } from './uv.ts'

const HINT =
  'Name an index that everybody can reach by https:; another one is a setting of the service (MEADOW_INDEX_URL).'

/**
 * Looks at the indexes that a user's files name, before any is asked.
 * @param configured `MEADOW_INDEX_URL`; what is at its host may be private
 * @throws {ResolverRefused} for one that is not to be asked
 */
export function checkIndexes(urls: string[], configured: string | undefined): void {
  for (const url of urls) {
    const fault = indexFault(url, configured)
    if (fault !== undefined) throw new ResolverRefused('index', fault, undefined, { hint: HINT, url })
  }
}

/** Why an index is not to be asked, as a clause; undefined where it may be. */
export function indexFault(url: string, configured: string | undefined): string | undefined {
  const { protocol, host, hostname } = new URL(url)
  if (configured !== undefined && host === new URL(configured).host) return undefined
  if (protocol !== 'https:') return `the index at ${host} is not one of https:`
  return hostIsPrivate(hostname) ? `the index at ${host} is private` : undefined
}

/** The index that all files came from, where there is one: uv's lock does not say it of each. */
export function indexOf({ indexes, project }: FilesRequest, configured: string | undefined): string | undefined {
  if (indexes?.none || (indexes && indexes.extra.length > 0) || (project && project.uv.indexes.length > 0))
    return undefined
  return indexes?.index ?? configured ?? DEFAULT_INDEX
}

/** How all files of one release are looked up, whatever they are for: only where the release itself came from. */
export function lookups(probe: Probe, { indexes, project }: FilesRequest, configured: string | undefined): Lookups {
  if (!project)
    return {
      files: {},
      arguments: {
        '': [...uvUniversalArguments(probe), ...(indexes ? indexArguments({ ...indexes, findLinks: [] }) : [])],
      },
    }
  const { settings, pinned } = project.uv
  const alone = Object.entries(pinned).map(([name, url]) => [
    name,
    [...uvUniversalArguments(probe), '--default-index', url],
  ])
  return {
    files: { [PROJECT_CONFIG]: uvProjectConfig({ index: settings.index ?? [] }, configured) },
    arguments: { '': uvUniversalArguments(probe, PROJECT_CONFIG), ...Object.fromEntries(alone) },
  }
}
