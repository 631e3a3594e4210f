import { setTimeout as sleep } from 'node:timers/promises'
import type { Database, Unit } from '../../database/database.ts'
import { holdLease, LeaseLost, renew } from '../../database/jobs.ts'
import type { JobRow } from '../../database/schema.ts'

/** A claim that is kept alive while its job runs. */
export class HeldLease {
  readonly #database: Database
  readonly #job: JobRow
  readonly #leaseMs: number
  readonly #abort = new AbortController()
  readonly #released = new AbortController()

  constructor(database: Database, job: JobRow, leaseMs: number) {
    this.#database = database
    this.#job = job
    this.#leaseMs = leaseMs
  }

  /** Aborted when the job's work must end; the reason says why. */
  get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** Ends the work. */
  abort(reason: Error): void {
    this.#abort.abort(reason)
  }

  /**
   * A unit that is committed only while the lease is held.
   * @throws {LeaseLost}
   */
  async commit<T>(unit: (unit: Unit) => Promise<T>): Promise<T> {
    return await this.#database.write(async (open) => {
      await holdLease(open.db, this.#job)
      return await unit(open)
    })
  }

  /** Renews the lease until it is released, and ends the work where the lease is lost. Never throws. */
  async keep(heartbeatMs: number, owner: string, report: (error: unknown) => void): Promise<void> {
    let until = this.#job.lease_until ?? 0
    while (await pause(heartbeatMs, this.#released.signal)) {
      const next = Date.now() + this.#leaseMs
      const held = await this.#renew(owner, next).catch((error: unknown) => {
        report(error)
        // The database did not answer: the lease is still ours until it runs out.
        return Date.now() < until ? undefined : false
      })
      if (held === false) return this.abort(new LeaseLost(this.#job.id, this.#job.fence))
      if (held) until = next
    }
  }

  /** Stops the heartbeat. */
  release(): void {
    this.#released.abort()
  }

  async #renew(owner: string, until: number): Promise<boolean> {
    const { id, fence } = this.#job
    return await this.#database.write(({ db }) => renew(db, { id, owner, fence, until }))
  }
}

/** Waits. False where it was told to stop. */
async function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    return await sleep(ms, true, { signal, ref: false })
  } catch {
    return false
  }
}
