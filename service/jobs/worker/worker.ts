import { setTimeout as sleep } from 'node:timers/promises'
import type { Database, Unit } from '../../database/database.ts'
import { claim, failJob, finishJob, handBack, LeaseLost, nextDue, retryLater } from '../../database/jobs.ts'
import type { JobKind, JobRow } from '../../database/schema.ts'
import { type Backoff, backoffMs } from './backoff.ts'
import { HeldLease } from './lease.ts'

/** What a handler works with. */
export interface JobContext {
  readonly job: JobRow
  /** Aborted when the service stops or the lease is lost: the work must end, and nothing it does then counts. */
  readonly signal: AbortSignal
  /**
   * The only way to write: the unit is committed only while the job's lease is held.
   * @throws {LeaseLost} where somebody else may have the job by now
   */
  commit<T>(unit: (unit: Unit) => Promise<T>): Promise<T>
}

/** The work of one kind of job. */
export interface JobHandler {
  /** How many jobs of this kind run at a time here. */
  concurrency: number
  /** Does the work. May be called again for the same job, after a crash at any point of an earlier call. */
  run(context: JobContext): Promise<void>
  /** Writes the final state of what the job was for, in the transaction that fails the job. */
  failed(unit: Unit, job: JobRow, error: unknown): Promise<void>
  /** Told of an attempt that failed, and after how many milliseconds the next one is made. */
  retrying?(job: JobRow, error: unknown, afterMs: number): void
}

export interface WorkerOptions {
  database: Database
  /** The node's id; it holds the leases. */
  owner: string
  handlers: Partial<Record<JobKind, JobHandler>>
  /** Whether the same job may go well a little later. */
  isRetryable(error: unknown): boolean
  /** Told of errors that end no job: a lost lease, a heartbeat that failed, an attempt that will be repeated. */
  report(message: string, error: unknown): void
  /** After this long without a heartbeat others take the job. */
  leaseMs?: number
  heartbeatMs?: number
  maxAttempts?: number
  backoff?: Backoff
  /** How long handlers may take to end once their signal is aborted. */
  abortMs?: number
}

export interface Worker {
  /**
   * Claims nothing any more and waits for what runs, then aborts it and hands it back, the attempt uncounted.
   * Resolves a few seconds after the grace at the latest.
   */
  stop(graceMs: number): Promise<void>
}

/** A job was begun more often than is allowed, and its process died each time. */
export class TooManyAttempts extends Error {
  override name = 'TooManyAttempts'
  readonly hint = "see the service's log for what ended it"
}

/** The service stops: the job goes on elsewhere, or after the next start. */
export class ServiceStops extends Error {
  override name = 'ServiceStops'
}

/** Starts to claim and run jobs. */
export function startWorker(options: WorkerOptions): Worker {
  return new JobWorker(options)
}

/** A job that is being worked on. */
interface Attempt {
  job: JobRow
  lease: HeldLease
  ended: Promise<void>
}

class JobWorker implements Worker {
  readonly #options: Required<WorkerOptions>
  /** A job whose lease was lost may be here twice: its old attempt, which still has to end, and its new one. */
  readonly #running = new Set<Attempt>()
  readonly #unsubscribe: () => void
  /** Set while jobs are being claimed. */
  #claiming: Promise<void> | undefined
  #claimAgain = false
  #due: NodeJS.Timeout | undefined
  #stopping = false

  constructor(options: WorkerOptions) {
    const leaseMs = options.leaseMs ?? 30_000
    this.#options = {
      leaseMs,
      heartbeatMs: leaseMs / 3,
      maxAttempts: 8,
      backoff: { firstMs: 1000, mostMs: 60_000 },
      abortMs: 3000,
      ...options,
    }
    this.#unsubscribe = options.database.subscribe('jobs', () => this.#wake())
    this.#wake()
  }

  async stop(graceMs: number): Promise<void> {
    this.#stopping = true
    this.#unsubscribe()
    clearTimeout(this.#due)
    await this.#claiming
    await this.#allEnded(graceMs)
    for (const { lease } of this.#running) lease.abort(new ServiceStops('the service stops'))
    await this.#allEnded(this.#options.abortMs)
    // Who still has not ended is fenced off: it can commit nothing any more.
    await Promise.all([...this.#running].map(({ job, lease }) => this.#giveBack(job, lease)))
  }

  async #allEnded(withinMs: number): Promise<void> {
    const timeout = new AbortController()
    const all = Promise.all([...this.#running].map(({ ended }) => ended))
    const late = sleep(withinMs, undefined, { signal: timeout.signal }).catch(() => {})
    await Promise.race([all, late])
    timeout.abort()
  }

  #wake(): void {
    this.#claimAgain = true
    this.#claiming ??= this.#claimAll().finally(() => {
      this.#claiming = undefined
      // Somebody called between the last look and now.
      if (this.#claimAgain && !this.#stopping) this.#wake()
    })
  }

  async #claimAll(): Promise<void> {
    const { database, owner, leaseMs, report } = this.#options
    try {
      while (this.#claimAgain && !this.#stopping) {
        this.#claimAgain = false
        const kinds = this.#freeKinds()
        if (kinds.length === 0) return
        const job = await database.write(({ db }) => claim(db, { owner, kinds, now: Date.now(), leaseMs }))
        if (job === undefined) await this.#wakeWhenDue(kinds)
        else this.#begin(job)
        this.#claimAgain ||= job !== undefined
      }
    } catch (error) {
      // The safety poll of the subscription tries again.
      report('no jobs could be claimed', error)
    }
  }

  #freeKinds(): JobKind[] {
    const busy = [...this.#running].map(({ job }) => job.kind)
    const kinds = Object.entries(this.#options.handlers) as [JobKind, JobHandler][]
    return kinds
      .filter(([kind, { concurrency }]) => busy.filter((other) => other === kind).length < concurrency)
      .map(([kind]) => kind)
  }

  async #wakeWhenDue(kinds: JobKind[]): Promise<void> {
    const due = await nextDue(this.#options.database.state, kinds)
    clearTimeout(this.#due)
    if (due === undefined || this.#stopping) return
    // A timer's longest delay is 2^31 - 1 ms; the safety poll comes long before.
    this.#due = setTimeout(() => this.#wake(), Math.min(Math.max(due - Date.now(), 0) + 1, 60_000)).unref()
  }

  #begin(job: JobRow): void {
    const lease = new HeldLease(this.#options.database, job, this.#options.leaseMs)
    const ended = this.#work(job, lease).finally(() => {
      this.#running.delete(attempt)
      if (!this.#stopping) this.#wake()
    })
    const attempt: Attempt = { job, lease, ended }
    this.#running.add(attempt)
  }

  /** Runs a job to one of its ends. Never throws: where the end can't be written, the lease runs out and it is taken up again. */
  async #work(job: JobRow, lease: HeldLease): Promise<void> {
    const { heartbeatMs, owner, report } = this.#options
    const heartbeat = lease.keep(heartbeatMs, owner, (error) => report(`job ${job.id}: no heartbeat`, error))
    try {
      await this.#attempt(job, lease)
    } catch (error) {
      report(`job ${job.id} (${job.kind}): its end could not be written`, error)
    } finally {
      lease.release()
      await heartbeat
    }
  }

  async #attempt(job: JobRow, lease: HeldLease): Promise<void> {
    const { database, handlers, maxAttempts } = this.#options
    const handler = handlers[job.kind]
    if (handler === undefined) throw new Error(`no handler for jobs of kind ${job.kind}`)
    try {
      if (job.attempts > maxAttempts) throw new TooManyAttempts(`it was begun ${maxAttempts} times and never ended`)
      await handler.run({ job, signal: lease.signal, commit: (unit) => lease.commit(unit) })
    } catch (error) {
      return await this.#notDone(job, lease, handler, error)
    }
    await database.write(({ db }) => finishJob(db, { ...job, now: Date.now() }))
  }

  async #notDone(job: JobRow, lease: HeldLease, handler: JobHandler, error: unknown): Promise<void> {
    const { database, isRetryable, maxAttempts, backoff, report } = this.#options
    if (error instanceof LeaseLost || lease.signal.reason instanceof LeaseLost) {
      return report(`job ${job.id} (${job.kind}): somebody else has it`, error)
    }
    if (lease.signal.reason instanceof ServiceStops) return await this.#giveBack(job, lease)
    const message = error instanceof Error ? error.message : String(error)
    if (isRetryable(error) && job.attempts < maxAttempts) {
      report(`job ${job.id} (${job.kind}): attempt ${job.attempts} of ${maxAttempts} failed`, error)
      const afterMs = Math.round(backoffMs(backoff, job.attempts, Math.random()))
      handler.retrying?.(job, error, afterMs)
      return await database.write(({ db }) =>
        retryLater(db, { ...job, runAfter: Date.now() + afterMs, error: message }),
      )
    }
    await database.write(async (unit) => {
      await failJob(unit.db, { ...job, error: message, now: Date.now() })
      await handler.failed(unit, job, error)
    })
  }

  async #giveBack(job: JobRow, lease: HeldLease): Promise<void> {
    lease.release()
    try {
      await this.#options.database.write(async ({ db, notify }) => {
        await handBack(db, job)
        notify('jobs')
      })
    } catch (error) {
      // It was lost before, or has ended meanwhile, or the database fails: then the lease runs out.
      if (!(error instanceof LeaseLost)) this.#options.report(`job ${job.id} could not be handed back`, error)
    }
  }
}
