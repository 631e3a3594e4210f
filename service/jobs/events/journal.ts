import { performance } from 'node:perf_hooks'
import type { NewEvent } from '../../../common/events.ts'

/** Where a journal's events go: the event writer, which masks and orders them. */
export interface EventSink {
  append(stream: string, event: NewEvent): Promise<void> | void
}

/** What a stage moved, in bytes, and one short remark on it. */
export interface StageAccount {
  'bytes-reused'?: number
  'bytes-transferred'?: number
  detail?: string
}

/** Tells the followers of one build or run what happens to it. */
export class Journal {
  readonly stream: string
  readonly #events: EventSink

  constructor(events: EventSink, stream: string) {
    this.#events = events
    this.stream = stream
  }

  tell(event: NewEvent): void {
    // Order is kept by the writer; whoever must know that events are kept awaits the writer's flush.
    void this.#events.append(this.stream, event)
  }

  note(text: string): void {
    this.tell({ kind: 'note', text })
  }

  /** Does some work and tells how long it took, whether it went well or not. */
  async stage<T>(name: string, work: () => Promise<T>, account?: (result: T) => StageAccount): Promise<T> {
    const began = performance.now()
    let told: StageAccount = { detail: 'failed' }
    try {
      const result = await work()
      told = account?.(result) ?? {}
      return result
    } finally {
      this.tell({ kind: 'stage', name, seconds: Math.round(performance.now() - began) / 1000, ...told })
    }
  }
}

/** What a piece of work for a build or run goes by: where it tells what happens, and what ends it. */
export interface WorkContext {
  journal: Journal
  signal: AbortSignal
}

/** The same, for what tells its lines and knows nothing of journals. */
export function reporting({ journal, signal }: WorkContext): { signal: AbortSignal; report: (line: string) => void } {
  return { signal, report: (line) => journal.note(line) }
}
