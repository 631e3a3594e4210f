import { type BuildOrder, buildKey, canonicalRequest, codeId } from '../../common/canonical-request.ts'
import { type Domain, readable } from '../policy/domain.ts'
import { environmentBuild, openBuild } from './builds.ts'
import type { Database, Unit } from './database.ts'
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
  const known = async (db: Unit['db']): Promise<OrderedBuild | undefined> => {
    const build = await environmentBuild(db, readable(domain), code, canonical)
    return build?.state === 'finished' ? { build, how: 'known' } : undefined
  }
  const found = await known(database.state)
  if (found) return found
  return await database.write(async ({ db, notify }) => {
    // One that was under way may have finished meanwhile.
    const finished = await known(db)
    if (finished) return finished
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
