import type { Database } from '../../database/database.ts'
import { runById } from '../../database/runs.ts'

/** Somebody asked for the run's end. */
export class Cancelled extends Error {
  override name = 'Cancelled'
}

/** Watches for a request to end a run; `signal` is aborted when there is one. Dispose of it when the run has ended. */
export function watchCancel(database: Database, id: string): { signal: AbortSignal } & Disposable {
  const cancel = new AbortController()
  const look = async () => {
    if ((await runById(database.state, id))?.cancel === 1) cancel.abort(new Cancelled(`run ${id} was cancelled`))
  }
  // A look that fails is repeated: subscribers are called every few seconds in any case.
  const heard = () => void look().catch(() => {})
  const stop = database.subscribe(`cancel:${id}`, heard)
  heard()
  return { signal: cancel.signal, [Symbol.dispose]: stop }
}
