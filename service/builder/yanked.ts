import { type Artifact, DEFAULT_INDEX } from '../interpreter/lock.ts'
import type { Probe } from '../interpreter/probe.ts'
import type { BuilderContext } from './context.ts'
import { indexFault } from './indexes.ts'
import type { ResolveOptions } from './options.ts'
import type { ResolverPool, Yanked, YankedRequest } from './resolver-pool.ts'
import { uvPinnedArguments } from './uv.ts'

/** Seconds that all indexes together may take. */
const LIMIT = 10

/** Asks the indexes of wheels and source distributions whether they were yanked; what is from no index is left out. */
export async function findYanked(
  { context, pool }: { context: BuilderContext; pool: ResolverPool },
  artifacts: Artifact[],
  probe: Probe,
  options: ResolveOptions,
): Promise<Yanked> {
  const releases: YankedRequest['releases'] = []
  const unknown: Yanked['unknown'] = []
  for (const { name, version, kind, url, index } of artifacts) {
    if (url === undefined || (kind !== 'wheel' && kind !== 'sdist')) continue
    const why = faultOf(index, context.indexUrl)
    if (why === undefined) releases.push({ name, version, url, ...(index !== undefined && { index }) })
    else unknown.push({ names: [name], why })
  }
  if (releases.length === 0) return { yanked: [], unknown }
  const answer = await pool.yanked({ releases, arguments: uvPinnedArguments(probe), limit: LIMIT }, options)
  return { ...answer, unknown: [...unknown, ...answer.unknown] }
}

function faultOf(index: string | undefined, configured: string | undefined): string | undefined {
  if (index === undefined || index === DEFAULT_INDEX) return undefined
  return URL.canParse(index) ? indexFault(index, configured) : 'what the lock has as its index is no URL'
}
