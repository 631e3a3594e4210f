import * as z from 'zod/mini'
import { buildOrder } from '../../common/canonical-request.ts'
import { RunRequest } from '../../common/contract.ts'
import type { CacheAccount } from '../../common/events.ts'
import type { Database } from '../database/database.ts'
import { lastEnd } from '../database/events.ts'
import { removeStandby } from '../database/nodes.ts'
import { orderBuild } from '../database/order-build.ts'
import { repositoryById } from '../database/repositories.ts'
import { updateRun } from '../database/runs.ts'
import type { BuildRow, RunRow } from '../database/schema.ts'
import { ContainerMissing, type Engine } from '../engine/engine.ts'
import { LauncherGone, type LiveRun, NeverBegan, reattach, type Standby } from '../engine/standby.ts'
import type { Domain } from '../policy/domain.ts'
import type { Code, Source } from '../source/source.ts'
import { awaitBuild, BuildDidNotFinish } from './await-build.ts'
import { codeOf } from './code-of.ts'
import type { EventWriter } from './events/event-writer.ts'
import { Journal, reporting } from './events/journal.ts'
import { environmentLine, hitAccount } from './images/account.ts'
import type { Admission } from './runs/admission.ts'
import { conclude, tellEnd } from './runs/conclude.ts'
import { type Conclusion, follow } from './runs/follow-run.ts'
import type { StandbyPool, StandbyWish } from './runs/standby-pool.ts'
import { taskOf } from './runs/task.ts'
import type { Wishes } from './runs/wishes.ts'
import { describeFailure } from './worker/failure.ts'
import type { JobContext } from './worker/handler.ts'

/** What a run needs. */
export interface RunParts {
  database: Database
  events: EventWriter
  source: Source
  engine: Engine
  admission: Admission
  standbys: StandbyPool
  wishes: Wishes
  /** The node's id. */
  node: string
  /** Milliseconds that a run may take that says nothing of it. */
  timeout: number
  /** Most bytes that a run may write to its container. */
  disk: number
  log: (line: string) => void
}

/** One run on its way. */
export class Running {
  readonly #parts: RunParts
  readonly #row: RunRow
  readonly #request: RunRequest
  readonly #context: JobContext
  readonly #cancelled: AbortSignal
  readonly #journal: Journal

  constructor(parts: RunParts, row: RunRow, context: JobContext, cancelled: AbortSignal) {
    this.#parts = parts
    this.#row = row
    this.#request = z.parse(RunRequest, JSON.parse(row.request))
    this.#context = context
    this.#cancelled = cancelled
    this.#journal = new Journal(parts.events, row.id)
  }

  /** Does all of it, and writes how it ended. */
  async toItsEnd(): Promise<void> {
    const { events } = this.#parts
    const conclusion = await this.#conclusion()
    await events.flush(this.#row.id)
    if (await this.#context.commit((unit) => conclude(unit, this.#row.id, conclusion)))
      tellEnd(events, this.#row.id, conclusion)
    // Nobody waits for this: a container that stays because we die here is a stray of the next start.
    if (this.#row.container !== null) await this.#parts.engine.container(this.#row.container).remove()
  }

  /** What ends before the user's process does is a conclusion too, where it is nobody's failure or the user's own. */
  async #conclusion(): Promise<Conclusion> {
    try {
      const resumed = this.#row.container === null ? undefined : await this.#resume(this.#row.container)
      return resumed ?? (await this.#begin())
    } catch (error) {
      if (this.#cancelled.aborted && !this.#context.signal.aborted) return { outcome: 'cancelled' }
      if (error instanceof BuildDidNotFinish) return { outcome: 'error', ...describeFailure(error) }
      throw error
    }
  }

  async #begin(): Promise<Conclusion> {
    const signal = AbortSignal.any([this.#context.signal, this.#cancelled])
    // Before a build that would be for nothing.
    this.#parts.admission.check(this.#parts.wishes.need(this.#request))
    const code = await this.#code(signal)
    const build = await this.#build(code, signal)
    const { wish, warning } = await this.#parts.wishes.of({
      build,
      domain: code.domain,
      bundle: code.bundle.digest,
      roots: code.roots,
      request: this.#request,
    })
    if (warning !== undefined) this.#journal.note(warning)
    const leave = await this.#parts.admission.enter(wish, signal, (ahead) => {
      this.#journal.tell({ kind: 'state', state: 'queued', ahead })
    })
    try {
      const standby = await this.#standby(wish, signal)
      return await this.#handOver(standby, build, code.domain)
    } finally {
      leave()
      // The next run of this commit shall start warm too.
      void this.#parts.standbys.want(wish).catch((error: unknown) => this.#parts.log(`no new standby: ${error}`))
    }
  }

  async #code(signal: AbortSignal): Promise<Code> {
    const { database, source } = this.#parts
    const repository = await repositoryById(database.state, this.#row.repository)
    const name = repository?.name ?? this.#request.repository
    const asked = { repository: this.#row.repository, name, code: this.#request }
    return await codeOf(source, asked, reporting({ journal: this.#journal, signal }))
  }

  /** The finished build of the run's image; one that is under way is told of first, and waited for. */
  async #build(code: Code, signal: AbortSignal): Promise<BuildRow> {
    const { database } = this.#parts
    const { repository } = this.#row
    const order = buildOrder({ repository, name: this.#request.repository }, this.#request)
    const { build, how } = await orderBuild(database, code.domain, order)
    if (how === 'known') {
      const account = hitAccount(build)
      this.#journal.note(environmentLine(account.environment))
      return this.#account(build, account)
    }
    await this.#context.commit(({ db }) => updateRun(db, this.#row.id, { state: 'building', build: build.id }))
    this.#journal.tell({ kind: 'state', state: 'building', build: build.id })
    const finished = await awaitBuild(database, build.id, signal)
    const account = JSON.parse(finished.cache ?? '{}') as CacheAccount
    return this.#account(finished, how === 'joined' ? { ...account, verdict: 'joined' } : account)
  }

  #account(build: BuildRow, account: CacheAccount): BuildRow {
    this.#row.cache = account.verdict
    this.#journal.tell({ kind: 'cache', ...account })
    return build
  }

  async #standby(wish: StandbyWish, signal: AbortSignal): Promise<Standby> {
    const { standbys } = this.#parts
    this.#journal.tell({ kind: 'state', state: 'starting' })
    const ready = standbys.take(wish)
    if (ready !== undefined) return ready
    this.#journal.note('no container was waiting for this commit and environment: this run starts cold')
    return await this.#journal.stage('container', () => standbys.make(wish, signal))
  }

  /** From the moment that the container is noted, the run is never begun a second time. */
  async #handOver(standby: Standby, build: BuildRow, domain: Domain): Promise<Conclusion> {
    const { node } = this.#parts
    const id = this.#row.id
    try {
      await this.#context.commit(async ({ db }) => {
        await removeStandby(db, standby.containerId)
        await updateRun(db, id, {
          state: 'running',
          domain,
          container: standby.containerId,
          node,
          build: build.id,
          image: build.image,
          cache: this.#row.cache,
          started: Date.now(),
        })
      })
    } catch (error) {
      await standby.destroy()
      throw error
    }
    this.#row.container = standby.containerId
    this.#journal.tell({ kind: 'state', state: 'running' })
    const live = standby.run(taskOf(this.#request, this.#parts.timeout), { acknowledge: 'told' })
    return await this.#follow(live)
  }

  /** Takes up a run whose service process died. Undefined where it has to begin from the start. */
  async #resume(container: string): Promise<Conclusion | undefined> {
    const { engine, database } = this.#parts
    const leave = this.#parts.admission.occupy(this.#parts.wishes.need(this.#request))
    try {
      const from = await lastEnd(database.events, this.#row.id)
      const live = await reattach(engine, container, from, this.#context.signal, 'told')
      this.#journal.note('the service lost sight of this run and takes it up again')
      return await this.#follow(live)
    } catch (error) {
      if (error instanceof NeverBegan) return await this.#startOver(container)
      if (!(error instanceof LauncherGone) && !(error instanceof ContainerMissing)) throw error
      const message = `the run was interrupted and could not be taken up again: ${error.message}`
      return { outcome: 'lost', message, hint: 'run it again' }
    } finally {
      leave()
    }
  }

  /** The service died between noting the container and handing over the task: nothing has run yet. */
  async #startOver(container: string): Promise<undefined> {
    await this.#parts.engine.container(container).remove()
    this.#row.container = null
  }

  async #follow(live: LiveRun): Promise<Conclusion> {
    const { database, events, engine } = this.#parts
    return await follow(live, {
      events,
      journal: this.#journal,
      container: engine.container(live.containerId),
      stop: this.#context.signal,
      cancelled: this.#cancelled,
      disk: this.#parts.disk,
      began: async (time) => {
        const ms = Math.max(0, Math.round(time - this.#row.created))
        await database.write(({ db }) => updateRun(db, this.#row.id, { ms_to_start: ms }))
      },
    })
  }
}
