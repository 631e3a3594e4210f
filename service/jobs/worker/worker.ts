import { setTimeout as sleep } from 'node:timers/promises'
import { claim, nextDue } from '../../database/jobs.ts'
import type { JobKind, JobRow } from '../../database/schema.ts'
import { Attempt, type AttemptOptions, ServiceStops } from './attempt.ts'
import type { JobHandler } from './handler.ts'

type Timing = 'leaseMs' | 'heartbeatMs' | 'maxAttempts' | 'backoff'

/** What has a default is optional. */
export interface WorkerOptions extends Omit<AttemptOptions, Timing>, Partial<Pick<AttemptOptions, Timing>> {
  handlers: Partial<Record<JobKind, JobHandler>>
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

/** Starts to claim and run jobs. */
export function startWorker(options: WorkerOptions): Worker {
  return new JobWorker(options)
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
    for (const attempt of this.#running) attempt.abort(new ServiceStops('the service stops'))
    await this.#allEnded(this.#options.abortMs)
    await Promise.all([...this.#running].map((attempt) => attempt.giveBack()))
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
    const handler = this.#options.handlers[job.kind]
    if (handler === undefined) throw new Error(`no handler for jobs of kind ${job.kind}`)
    const attempt = new Attempt(this.#options, job, handler)
    this.#running.add(attempt)
    void attempt.ended.then(() => {
      this.#running.delete(attempt)
      if (!this.#stopping) this.#wake()
    })
  }
}
