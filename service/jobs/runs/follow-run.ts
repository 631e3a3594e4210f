import type { Outcome } from '../../../common/events.ts'
import type { Container } from '../../engine/engine.ts'
import type { ProcessOutcome } from '../../engine/frames.ts'
import { LauncherGone, type LiveRun } from '../../engine/standby.ts'
import type { EventWriter } from '../events/event-writer.ts'
import type { Journal } from '../events/journal.ts'

/** How a run ended. */
export interface Conclusion {
  outcome: Outcome
  /** Only where the user's process exited. */
  exitCode?: number
  message?: string
  hint?: string
  /** JSON: what a function returned. */
  result?: string
}

/** What following a run needs. */
export interface Follow {
  events: EventWriter
  journal: Journal
  container: Container
  /** Aborted when this process must let go: the run goes on, and the next process takes it up. */
  stop: AbortSignal
  /** Aborted when somebody asked for the run's end. */
  cancelled: AbortSignal
  /** Most bytes that the container may write. */
  disk: number
  /** Told when the user's process began, in milliseconds since 1970. */
  began: (time: number) => Promise<void>
}

const GRACE_MS = 5000
const DISK_EVERY_MS = 2000

/**
 * Turns what a run says into events until it has ended. Its container is left to the caller.
 * @throws the reason of `stop`, the container going on; {EngineUnavailable} when the engine went away
 */
export async function follow(live: LiveRun, options: Follow): Promise<Conclusion> {
  const { stop, cancelled } = options
  const cancel = () => live.cancel(GRACE_MS)
  const letGo = () => live.detach()
  cancelled.addEventListener('abort', cancel, { once: true })
  stop.addEventListener('abort', letGo, { once: true })
  if (cancelled.aborted) cancel()
  if (stop.aborted) letGo()
  const disk = watchDisk(live, options)
  try {
    return await conclusionOf(live, options, disk)
  } catch (error) {
    stop.throwIfAborted()
    if (!(error instanceof LauncherGone)) throw error
    return gone(error, disk)
  } finally {
    disk.stop()
    cancelled.removeEventListener('abort', cancel)
    stop.removeEventListener('abort', letGo)
  }
}

async function conclusionOf(live: LiveRun, options: Follow, disk: DiskWatch): Promise<Conclusion> {
  const { events, journal } = options
  let result: string | undefined
  for await (const frame of live.frames) {
    const stored = () => live.acknowledge(frame.end)
    switch (frame.kind) {
      case 'began':
        await options.began(frame.time)
        break
      case 'stdout':
      case 'stderr':
        await events.log(journal.stream, frame.kind, frame.bytes, frame.time, { end: frame.end, stored })
        break
      case 'gap':
        journal.tell({ kind: 'gap', bytes: frame.bytes })
        break
      case 'note':
        journal.note(frame.text)
        break
      case 'result':
        result = frame.text
        break
      case 'outcome': {
        await events.flush(journal.stream)
        if (result !== undefined) journal.tell({ kind: 'result', value: JSON.parse(result) })
        stored()
        return { ...concluded(frame.outcome, disk), ...(result !== undefined && { result }) }
      }
    }
  }
  throw new LauncherGone('its launcher ended without an outcome')
}

function concluded(end: ProcessOutcome, disk: DiskWatch): Conclusion {
  const code = end.exitCode === null ? {} : { exitCode: end.exitCode }
  if (disk.exceeded !== undefined) return disk.exceeded
  if (end.reason === 'timeout') {
    return { outcome: 'timeout', message: `it took longer than its time limit`, hint: 'raise timeout, or do less' }
  }
  if (end.reason === 'cancelled') return { outcome: 'cancelled' }
  if (end.reason === 'unattached')
    return { outcome: 'lost', message: 'nobody was attached to it for too long', hint: 'run it again' }
  if (end.error !== null) return { outcome: 'failed', ...code, message: end.error.message, hint: end.error.hint }
  if (end.oom && end.exitCode !== 0) return OUT_OF_MEMORY
  if (end.signal !== null) {
    return { outcome: 'failed', message: `the process was ended by ${end.signal}`, hint: 'see what it printed last' }
  }
  return { outcome: end.exitCode === 0 ? 'ok' : 'failed', ...code }
}

const OUT_OF_MEMORY: Conclusion = {
  outcome: 'oom',
  message: 'it needed more memory than its limit',
  hint: 'raise memory, or use less',
}

/** The container ended, launcher and all. */
function gone({ message, exit }: LauncherGone, disk: DiskWatch): Conclusion {
  if (disk.exceeded !== undefined) return disk.exceeded
  if (exit?.oom) return OUT_OF_MEMORY
  return { outcome: 'lost', message: `its container ended: ${message}`, hint: 'run it again' }
}

/** Ends a run that writes more than it may. */
interface DiskWatch {
  exceeded: Conclusion | undefined
  stop(): void
}

function watchDisk(live: LiveRun, { container, disk }: Follow): DiskWatch {
  const look = async () => {
    if ((await container.diskUsed()) <= disk || watch.exceeded !== undefined) return
    watch.exceeded = {
      outcome: 'disk-limit',
      message: `it wrote more than ${disk} bytes to its container`,
      hint: 'write less, or raise MEADOW_RUN_DISK',
    }
    live.cancel(0)
  }
  // An engine that does not answer is noticed by whoever reads the frames.
  const timer = setInterval(() => void look().catch(() => {}), DISK_EVERY_MS).unref()
  const watch: DiskWatch = { exceeded: undefined, stop: () => clearInterval(timer) }
  return watch
}
