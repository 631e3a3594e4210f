import { type BuildOrder, buildKey, canonicalRequest, codeId } from '../../common/canonical-request.ts'
import { type Domain, readable } from '../policy/domain.ts'
import { environmentBuild, openBuild } from './builds.ts'
import type { Database } from './database.ts'
import { enqueue } from './jobs.ts'
import type { BuildRow } from './schema.ts'

/** A build that somebody asked for, and what asking did. */
export interface OrderedBuild {
  build: BuildRow
  /** `made`: it was opened now; `joined`: somebody else's is under way; `known`: its image is there. */
  how: 'made' | 'joined' | 'known'
}

/** Finds the build that leads to an interpreter at a commit, or opens it: one at a time, whoever asks. */
export async function orderBuild(database: Database, domain: Domain, order: BuildOrder): Promise<OrderedBuild> {
  const canonical = canonicalRequest(order.interpreter, order.code)
  const code = codeId(order.code)
  const known = await environmentBuild(database.state, readable(domain), code, canonical)
  if (known?.state === 'finished') return { build: known, how: 'known' }
  return await database.write(async ({ db, notify }) => {
    const now = Date.now()
    const key = buildKey(code, canonical)
    const { build, created } = await openBuild(db, { domain, key, request: JSON.stringify(order), now })
    if (created) {
      await enqueue(db, { kind: 'build', key: build.id, payload: JSON.stringify({ build: build.id }), now })
      notify('jobs')
    }
    return { build, how: created ? 'made' : 'joined' }
  })
}
