import type { Unit } from '../../database/database.ts'
import { finishRun } from '../../database/runs.ts'
import type { EventWriter } from '../events/event-writer.ts'
import type { Conclusion } from './follow-run.ts'

/** Ends a run in the database. False where it had ended before. */
export async function conclude({ db, notify }: Unit, id: string, end: Conclusion): Promise<boolean> {
  notify(`events:${id}`)
  return await finishRun(db, id, { ...end, now: Date.now() })
}

/** Tells the followers of a run how it ended. */
export function tellEnd(events: EventWriter, id: string, { outcome, exitCode, message, hint }: Conclusion): void {
  void events.append(id, {
    kind: 'state',
    state: 'finished',
    outcome,
    ...(exitCode !== undefined && { 'exit-code': exitCode }),
    ...(message !== undefined && { message }),
    ...(hint !== undefined && { hint }),
  })
}
