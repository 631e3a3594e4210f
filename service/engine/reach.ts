import { setTimeout as sleep } from 'node:timers/promises'
import { type Engine, type EngineInfo, EngineUnavailable } from './engine.ts'

/** Between two attempts, in milliseconds. */
const EVERY_MS = 2000

/**
 * Waits for the engine for as long as it takes.
 * @param waiting is told why it has to, after each attempt
 */
export async function reachEngine(
  engine: Engine,
  signal: AbortSignal,
  waiting: (why: string) => void,
): Promise<EngineInfo> {
  for (;;) {
    signal.throwIfAborted()
    try {
      return await engine.info()
    } catch (error) {
      if (!(error instanceof EngineUnavailable)) throw error
      waiting(error.message)
    }
    await sleep(EVERY_MS, undefined, { signal })
  }
}
