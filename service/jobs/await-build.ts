import { buildById } from '../database/builds.ts'
import type { Database } from '../database/database.ts'
import type { BuildRow } from '../database/schema.ts'

/** The build failed; its own words. */
export class BuildDidNotFinish extends Error {
  override name = 'BuildDidNotFinish'
  readonly hint: string
  constructor(build: BuildRow) {
    super(build.message ?? `build ${build.id} failed`)
    this.hint = build.hint ?? `see the events of ${build.id}`
  }
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
