import * as z from 'zod/mini'
import { runById } from '../database/runs.ts'
import { Journal } from './events/journal.ts'
import { Running, type RunParts } from './running.ts'
import { watchCancel } from './runs/cancel.ts'
import { conclude, tellEnd } from './runs/conclude.ts'
import type { Conclusion } from './runs/follow-run.ts'
import { describeFailure, describeRetry } from './worker/failure.ts'
import type { JobHandler } from './worker/handler.ts'

/** Runs that may be under way in a node's process; most of them wait for a build or for room. */
const AT_ONCE = 512
const Payload = z.object({ run: z.string() })

/** The work of a run: code, image, a container, the user's process. */
export function runHandler(parts: RunParts): JobHandler {
  return {
    concurrency: AT_ONCE,
    run: async (context) => {
      const row = await runById(parts.database.state, runOf(context.job.payload))
      if (row === undefined || row.state === 'finished') return
      using cancel = watchCancel(parts.database, row.id)
      await new Running(parts, row, context, cancel.signal).toItsEnd()
    },
    retrying: (job, error, afterMs) => {
      new Journal(parts.events, runOf(job.payload)).note(describeRetry(error, afterMs))
    },
    failed: async (unit, job, error) => {
      const id = runOf(job.payload)
      const conclusion: Conclusion = { outcome: 'error', ...describeFailure(error) }
      if (await conclude(unit, id, conclusion)) tellEnd(parts.events, id, conclusion)
    },
  }
}

function runOf(payload: string): string {
  return z.parse(Payload, JSON.parse(payload)).run
}
