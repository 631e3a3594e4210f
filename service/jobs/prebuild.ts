import * as z from 'zod/mini'
import type { CondaPlatform } from '../../common/conda-files.ts'
import type { CodeVariant, RunShape } from '../../common/contract.ts'
import type { Database } from '../database/database.ts'
import { orderBuild } from '../database/order-build.ts'
import { PrebuildOrder } from '../github/deliveries.ts'
import { type AskedEnvironment, environmentsOf } from '../source/environments.ts'
import type { Code, Source } from '../source/source.ts'
import { awaitBuild, BuildDidNotFinish } from './await-build.ts'
import type { EventWriter } from './events/event-writer.ts'
import { Journal } from './events/journal.ts'
import type { StandbyPool } from './runs/standby-pool.ts'
import type { Wishes } from './runs/wishes.ts'
import type { JobHandler } from './worker/handler.ts'

/** What a prebuild needs. */
export interface PrebuildParts {
  database: Database
  events: EventWriter
  source: Source
  standbys: StandbyPool
  wishes: Wishes
  log: (line: string) => void
  /** Of all that is built here. */
  platform: CondaPlatform
}

/** A push: the images of every interpreter that its commit asks for, and standbys of them. */
export function prebuildHandler(parts: PrebuildParts, concurrency: number): JobHandler {
  return {
    concurrency,
    run: async ({ job, signal }) => {
      const order = z.parse(PrebuildOrder, JSON.parse(job.payload))
      const { tree } = await codeOf(parts, order, {}, signal)
      const { environments, notes } = await environmentsOf(tree, { repository: order.name, platform: parts.platform })
      const builds: Prepared[] = []
      for (const environment of environments) {
        const code = await codeOf(parts, order, environment.code, signal)
        builds.push({ ...environment, code, build: await openBuild(parts, order, environment, code, notes) })
      }
      parts.log(`${said(order)}: ${builds.map(({ build }) => build).join(', ') || 'no environment file'}`)
      for (const build of builds) await prepare(parts, order, build, signal)
    },
    failed: async (_unit, job, error) => {
      const { name, commit } = z.parse(PrebuildOrder, JSON.parse(job.payload))
      parts.log(`prebuild of ${name} ${commit.slice(0, 12)} failed: ${error instanceof Error ? error.message : error}`)
    },
  }
}

/** A build that was ordered, and what is to wait for its runs. */
interface Prepared {
  build: string
  code: Code
  shapes: RunShape[]
}

function said({ name, branch, commit }: PrebuildOrder): string {
  return `prebuild of ${name} ${branch} ${commit.slice(0, 12)}`
}

async function codeOf(parts: PrebuildParts, order: PrebuildOrder, variant: CodeVariant, signal: AbortSignal) {
  const repository = { id: order.repository, name: order.name }
  return await parts.source.codeAt(
    { repository, commit: order.commit, ...variant, callerDomain: order.repository },
    { signal, report: (line) => parts.log(`${said(order)}: ${line}`) },
  )
}

async function openBuild(
  { database, events }: PrebuildParts,
  order: PrebuildOrder,
  { interpreter, code: variant }: AskedEnvironment,
  code: Code,
  notes: string[],
): Promise<string> {
  const { build, how } = await orderBuild(database, code.domain, {
    repository: order.repository,
    name: order.name,
    code: { deployment: 'git_repo', repository: order.name, commit: order.commit, ...variant },
    interpreter,
  })
  if (how === 'made') for (const note of notes) new Journal(events, build.id).note(note)
  return build.id
}

/** A build that fails says so to whoever asks for its run; the other environments of the commit are not its affair. */
async function prepare(
  { database, standbys, wishes, log }: PrebuildParts,
  order: PrebuildOrder,
  { build: id, code, shapes }: Prepared,
  signal: AbortSignal,
): Promise<void> {
  try {
    const build = await awaitBuild(database, id, signal)
    for (const request of shapes) {
      const { wish } = await wishes.of({ build, domain: code.domain, bundle: code.bundle.digest, request })
      await standbys.want(wish)
    }
  } catch (error) {
    if (!(error instanceof BuildDidNotFinish)) throw error
    log(`${said(order)}: ${id} failed: ${error.message.split('\n', 1)[0]}`)
  }
}
