import * as z from 'zod/mini'
import type { Database } from '../database/database.ts'
import { orderBuild } from '../database/order-build.ts'
import { PrebuildOrder } from '../github/deliveries.ts'
import { environmentsOf } from '../source/environments.ts'
import type { Code, Source } from '../source/source.ts'
import { awaitBuild, BuildDidNotFinish } from './await-build.ts'
import type { EventWriter } from './event-writer.ts'
import { Journal } from './journal.ts'
import type { StandbyPool } from './standby-pool.ts'
import type { Wishes } from './wishes.ts'
import type { JobHandler } from './worker.ts'

/** What a prebuild needs. */
export interface PrebuildParts {
  database: Database
  events: EventWriter
  source: Source
  standbys: StandbyPool
  wishes: Wishes
  log: (line: string) => void
}

/** A push: the images of every interpreter that its commit asks for, and standbys of them. */
export function prebuildHandler(parts: PrebuildParts, concurrency: number): JobHandler {
  return {
    concurrency,
    run: async ({ job, signal }) => {
      const order = z.parse(PrebuildOrder, JSON.parse(job.payload))
      const said = `prebuild of ${order.name} ${order.branch} ${order.commit.slice(0, 12)}`
      const code = await parts.source.codeAt(
        {
          repository: { id: order.repository, name: order.name },
          commit: order.commit,
          callerDomain: order.repository,
        },
        { signal, report: (line) => parts.log(`${said}: ${line}`) },
      )
      const builds = await openBuilds(parts, order, code)
      parts.log(`${said}: ${builds.length === 0 ? 'no environment file' : builds.join(', ')}`)
      for (const id of builds) await prepare(parts, id, code, signal, said)
    },
    failed: async (_unit, job, error) => {
      const { name, commit } = z.parse(PrebuildOrder, JSON.parse(job.payload))
      parts.log(`prebuild of ${name} ${commit.slice(0, 12)} failed: ${error instanceof Error ? error.message : error}`)
    },
  }
}

async function openBuilds({ database, events }: PrebuildParts, order: PrebuildOrder, code: Code): Promise<string[]> {
  const { requests, notes } = await environmentsOf(code.tree, order.name)
  const ids: string[] = []
  for (const interpreter of requests) {
    const { build, how } = await orderBuild(database, code.domain, {
      repository: order.repository,
      name: order.name,
      code: { deployment: 'git_repo', repository: order.name, commit: order.commit },
      interpreter,
    })
    if (how === 'made') for (const note of notes) new Journal(events, build.id).note(note)
    ids.push(build.id)
  }
  return ids
}

/** A build that fails says so to whoever asks for its run; the other environments of the commit are not its affair. */
async function prepare(
  { database, standbys, wishes, log }: PrebuildParts,
  id: string,
  code: Code,
  signal: AbortSignal,
  said: string,
): Promise<void> {
  try {
    const build = await awaitBuild(database, id, signal)
    const { wish } = await wishes.of({ build, domain: code.domain, bundle: code.bundle.digest })
    await standbys.want(wish)
  } catch (error) {
    if (!(error instanceof BuildDidNotFinish)) throw error
    log(`${said}: ${id} failed: ${error.message.split('\n', 1)[0]}`)
  }
}
