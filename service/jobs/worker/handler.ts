import type { Unit } from '../../database/database.ts'
import type { JobRow } from '../../database/schema.ts'

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
