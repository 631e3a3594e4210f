import type { Database } from '../../database/database.ts'
import { failJob, finishJob, handBack, LeaseLost, retryLater } from '../../database/jobs.ts'
import type { JobRow } from '../../database/schema.ts'
import { type Backoff, backoffMs } from './backoff.ts'
import type { JobHandler } from './handler.ts'
import { HeldLease } from './lease.ts'

/** A job was begun more often than is allowed, and its process died each time. */
export class TooManyAttempts extends Error {
  override name = 'TooManyAttempts'
  readonly hint = "see the service's log for what ended it"
}

/** The service stops: the job goes on elsewhere, or after the next start. */
export class ServiceStops extends Error {
  override name = 'ServiceStops'
}

/** What every attempt goes by. */
export interface AttemptOptions {
  database: Database
  /** The node's id; it holds the leases. */
  owner: string
  /** Whether the same job may go well a little later. */
  isRetryable(error: unknown): boolean
  /** Told of errors that end no job: a lost lease, a heartbeat that failed, an attempt that will be repeated. */
  report(message: string, error: unknown): void
  /** After this long without a heartbeat others take the job. */
  leaseMs: number
  heartbeatMs: number
  maxAttempts: number
  backoff: Backoff
}

/** A job that was claimed, and is worked on from then on. */
export class Attempt {
  readonly job: JobRow
  /**
   * Resolves once the job has come to one of its ends. Never throws: where the end can't be written, the lease runs out
   * and the job is taken up again.
   */
  readonly ended: Promise<void>
  readonly #options: AttemptOptions
  readonly #lease: HeldLease

  constructor(options: AttemptOptions, job: JobRow, handler: JobHandler) {
    this.job = job
    this.#options = options
    this.#lease = new HeldLease(options.database, job, options.leaseMs)
    this.ended = this.#work(handler)
  }

  /** Ends the work. */
  abort(reason: Error): void {
    this.#lease.abort(reason)
  }

  /** Lets others have the job, this attempt uncounted. What still works on it can commit nothing any more. */
  async giveBack(): Promise<void> {
    const { database, report } = this.#options
    this.#lease.release()
    try {
      await database.write(async ({ db, notify }) => {
        await handBack(db, this.job)
        notify('jobs')
      })
    } catch (error) {
      // It was lost before, or has ended meanwhile, or the database fails: then the lease runs out.
      if (!(error instanceof LeaseLost)) report(`job ${this.job.id} could not be handed back`, error)
    }
  }

  async #work(handler: JobHandler): Promise<void> {
    const { heartbeatMs, owner, report } = this.#options
    const { id, kind } = this.job
    const heartbeat = this.#lease.keep(heartbeatMs, owner, (error) => report(`job ${id}: no heartbeat`, error))
    try {
      await this.#run(handler)
    } catch (error) {
      report(`job ${id} (${kind}): its end could not be written`, error)
    } finally {
      this.#lease.release()
      await heartbeat
    }
  }

  async #run(handler: JobHandler): Promise<void> {
    const { database, maxAttempts } = this.#options
    const { job } = this
    const lease = this.#lease
    try {
      if (job.attempts > maxAttempts) throw new TooManyAttempts(`it was begun ${maxAttempts} times and never ended`)
      await handler.run({ job, signal: lease.signal, commit: (unit) => lease.commit(unit) })
    } catch (error) {
      return await this.#notDone(handler, error)
    }
    await database.write(({ db }) => finishJob(db, { ...job, now: Date.now() }))
  }

  async #notDone(handler: JobHandler, error: unknown): Promise<void> {
    const { database, isRetryable, maxAttempts, backoff, report } = this.#options
    const { job } = this
    const { reason } = this.#lease.signal
    if (error instanceof LeaseLost || reason instanceof LeaseLost) {
      return report(`job ${job.id} (${job.kind}): somebody else has it`, error)
    }
    if (reason instanceof ServiceStops) return await this.giveBack()
    const message = error instanceof Error ? error.message : String(error)
    if (isRetryable(error) && job.attempts < maxAttempts) {
      report(`job ${job.id} (${job.kind}): attempt ${job.attempts} of ${maxAttempts} failed`, error)
      const afterMs = Math.round(backoffMs(backoff, job.attempts, Math.random()))
      handler.retrying?.(job, error, afterMs)
      const runAfter = Date.now() + afterMs
      return await database.write(({ db }) => retryLater(db, { ...job, runAfter, error: message }))
    }
    await database.write(async (unit) => {
      await failJob(unit.db, { ...job, error: message, now: Date.now() })
      await handler.failed(unit, job, error)
    })
  }
}
