import type { BuildOrder } from '../../common/canonical-request.ts'
import { buildKey, canonicalRequest } from '../../common/canonical-request.ts'
import { buildById, environmentBuild, openBuild } from '../database/builds.ts'
import type { Database } from '../database/database.ts'
import { enqueue } from '../database/jobs.ts'
import type { BuildRow } from '../database/schema.ts'
import { type Domain, readable } from '../policy/domain.ts'

/** A build that somebody asked for, and what asking did. */
export interface RequestedBuild {
  build: BuildRow
  /** `made`: it was opened now; `joined`: somebody else's is under way; `known`: its image is there. */
  how: 'made' | 'joined' | 'known'
}

/** The build failed; its own words. */
export class BuildDidNotFinish extends Error {
  override name = 'BuildDidNotFinish'
  readonly hint: string
  constructor(build: BuildRow) {
    super(build.message ?? `build ${build.id} failed`)
    this.hint = build.hint ?? `see the events of ${build.id}`
  }
}

/** Finds the build that leads to an interpreter at a commit, or opens it: one at a time, whoever asks. */
export async function requestBuild(database: Database, domain: Domain, order: BuildOrder): Promise<RequestedBuild> {
  const canonical = canonicalRequest(order.interpreter, order.code)
  const known = await environmentBuild(database.state, readable(domain), order.code.commit, canonical)
  if (known?.state === 'finished') return { build: known, how: 'known' }
  return await database.write(async ({ db, notify }) => {
    const now = Date.now()
    const key = buildKey(order.code.commit, canonical)
    const { build, created } = await openBuild(db, { domain, key, request: JSON.stringify(order), now })
    if (created) {
      await enqueue(db, { kind: 'build', key: build.id, payload: JSON.stringify({ build: build.id }), now })
      notify('jobs')
    }
    return { build, how: created ? 'made' : 'joined' }
  })
}

/**
 * Waits until a build has ended.
 * @throws {BuildDidNotFinish} with what the build failed of; the signal's reason when it is aborted
 */
export async function awaitBuild(database: Database, id: string, signal: AbortSignal): Promise<BuildRow> {
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const abort = () => reject(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  let wake = () => {}
  const stop = database.subscribe(`events:${id}`, () => wake())
  try {
    for (;;) {
      const heard = new Promise<void>((resolve) => {
        wake = resolve
      })
      signal.throwIfAborted()
      const build = await buildById(database.state, id)
      if (build?.state === 'failed') throw new BuildDidNotFinish(build)
      if (build?.state === 'finished') return build
      if (build === undefined) throw new Error(`build ${id} is not known`)
      await Promise.race([heard, aborted])
    }
  } finally {
    stop()
    signal.removeEventListener('abort', abort)
  }
}
