import { DiskFull, EngineUnavailable } from '../../engine/engine.ts'

/** Why something ended badly: what is at fault, and the fix. */
export interface Failure {
  message: string
  hint: string
}

/** Says an error as users read it: its own message, and its hint where it has one. */
export function describeFailure(error: unknown): Failure {
  if (error instanceof EngineUnavailable) {
    return { message: error.message, hint: 'start the container engine; the work is tried again when it answers' }
  }
  if (error instanceof DiskFull) return { message: error.message, hint: "free space on the node's disk" }
  if (isDiskFull(error)) {
    const message = `no space is left on the disk of the data folder: ${error.message}`
    return { message, hint: 'free space on it, or move the data folder to a larger one (MEADOW_DATA)' }
  }
  if (!(error instanceof Error)) return { message: String(error), hint: UNEXPECTED }
  const hint = 'hint' in error && typeof error.hint === 'string' ? error.hint : UNEXPECTED
  return { message: error.message, hint }
}

/** Says that work which failed is done again. */
export function describeRetry(error: unknown, afterMs: number): string {
  return `${describeFailure(error).message}; it is tried again in ${Math.ceil(afterMs / 1000)} s`
}

const UNEXPECTED = "this was not expected: see the service's log, and report it with the lines around it"

/** What a file, or SQLite (SQLITE_FULL), says where the disk is full. */
function isDiskFull(error: unknown): error is Error {
  const { code, errcode } = error as { code?: unknown; errcode?: unknown }
  return error instanceof Error && (code === 'ENOSPC' || code === 'EDQUOT' || errcode === 13)
}

/** Whether the same work may go well a little later: the engine or the network went away. */
export function isRetryable(error: unknown): boolean {
  return (
    error instanceof EngineUnavailable || (error instanceof Error && 'retryable' in error && error.retryable === true)
  )
}
