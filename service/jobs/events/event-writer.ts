import type { NewEvent } from '../../../common/events.ts'
import type { Database } from '../../database/database.ts'
import { SecretMask } from '../../secrets/mask.ts'
import { EventBatches } from './event-batches.ts'
import { timeOf } from './event-items.ts'
import { type LogFd, type Mark, StreamState } from './event-stream-state.ts'

/** The only writer of events. It orders them, masks them and stores them in batches. */
export interface EventWriter {
  /** Adds an event to a stream. Resolves when there is room for more; it need not be awaited, and never rejects. */
  append(stream: string, event: NewEvent): Promise<void>
  /**
   * Adds output that was printed at a time (milliseconds since 1970), and where it ends. Resolves when there is room for
   * more; never rejects.
   */
  log(stream: string, fd: LogFd, bytes: Buffer, time?: number, mark?: Mark): Promise<void>
  /**
   * Stores what was added, and output that was held back. To be awaited before an event that ends a stream.
   * @throws {EventsNotStored}
   */
  flush(stream?: string): Promise<void>
  /**
   * Flushes, and takes nothing any more.
   * @throws {EventsNotStored}
   */
  close(): Promise<void>
}

export interface EventWriterOptions {
  database: Pick<Database, 'events' | 'notify'>
  /** What is masked. */
  mask?: SecretMask
  /** Told of batches that could not be stored, and of events that came too late. */
  report(message: string, error: unknown): void
  /** Most bytes of output that a stream keeps, 1 GiB where not set; the rest is counted in a `gap`. */
  mostLogBytes?: number
}

/** Streams whose last number is remembered. */
const MOST_STREAMS = 1000
const FDS: readonly LogFd[] = ['stdout', 'stderr']

/** Makes the writer of a node's events. There may be one only. */
export function createEventWriter(options: EventWriterOptions): EventWriter {
  return new MaskingWriter(options)
}

class MaskingWriter implements EventWriter {
  readonly #mask: SecretMask
  readonly #report: EventWriterOptions['report']
  readonly #mostLogBytes: number
  readonly #batches: EventBatches
  readonly #streams = new Map<string, StreamState>()
  #closed = false

  constructor({ database, mask, report, mostLogBytes }: EventWriterOptions) {
    this.#mask = mask ?? new SecretMask()
    this.#report = report
    this.#mostLogBytes = mostLogBytes ?? 2 ** 30
    this.#batches = new EventBatches({ database, report })
  }

  async append(stream: string, event: NewEvent): Promise<void> {
    if (this.#refuses(stream)) return
    const state = this.#stateOf(stream)
    // These come after the process has ended: nothing will complete what is held.
    if (event.kind === 'state' || event.kind === 'result') this.#release(state)
    this.#add(state, event)
    await this.#batches.room()
  }

  async log(stream: string, fd: LogFd, bytes: Buffer, time: number = Date.now(), mark?: Mark): Promise<void> {
    if (this.#refuses(stream)) return
    const state = this.#stateOf(stream)
    const kept = bytes.subarray(0, this.#mostLogBytes - state.logBytes)
    state.logBytes += kept.length
    // Output that is not kept ends somewhere too: its source waits to hear that all before it is stored.
    if (kept.length > 0 || mark !== undefined) {
      this.#batches.add({ kind: 'log', state, fd, bytes: kept, time, mark, size: kept.length })
    }
    if (kept.length < bytes.length) this.#drop(state, fd, bytes.length - kept.length)
    await this.#batches.room()
  }

  async flush(stream?: string): Promise<void> {
    for (const state of stream === undefined ? this.#streams.values() : [this.#stateOf(stream)]) {
      this.#release(state)
      this.#tellDropped(state)
    }
    await this.#batches.flush()
  }

  async close(): Promise<void> {
    this.#closed = true
    try {
      for (const state of this.#streams.values()) {
        this.#release(state)
        this.#tellDropped(state)
      }
      await this.#batches.close()
    } finally {
      for (const { channels } of this.#streams.values()) for (const fd of FDS) channels[fd].stop()
    }
  }

  /** Work that was cut off at a stop may still have something to tell: too late, but no reason to fail. */
  #refuses(stream: string): boolean {
    if (this.#closed) this.#report(`an event of ${stream} came after the end`, new Error('the event writer is closed'))
    return this.#closed
  }

  #stateOf(stream: string): StreamState {
    const state =
      this.#streams.get(stream) ?? new StreamState(stream, this.#mask, (late, fd) => this.#releaseOverdue(late, fd))
    // In the order of their last use, so that the ones to forget come first.
    this.#streams.delete(stream)
    this.#streams.set(stream, state)
    for (const [id, old] of this.#streams) {
      if (this.#streams.size <= MOST_STREAMS) break
      if (old.isIdle && old !== state) this.#streams.delete(id)
    }
    return state
  }

  #add(state: StreamState, event: NewEvent): void {
    const json = JSON.stringify(this.#mask.json({ time: timeOf(Date.now()), ...event }))
    this.#batches.add({ kind: 'event', state, json, size: json.length })
  }

  #drop(state: StreamState, fd: LogFd, bytes: number): void {
    if (FDS.every((name) => state.channels[name].dropped === 0)) {
      this.#add(state, { kind: 'note', text: `of this output ${this.#mostLogBytes} bytes are kept, no more` })
    }
    state.channels[fd].dropped += bytes
  }

  #tellDropped(state: StreamState): void {
    for (const stream of FDS) {
      const channel = state.channels[stream]
      if (channel.dropped > 0) this.#add(state, { kind: 'gap', bytes: channel.dropped, stream })
      channel.dropped = 0
    }
  }

  /** Lets go of what is held back of the output that was added so far. */
  #release(state: StreamState): void {
    for (const fd of FDS) {
      if (state.queued === 0 && !state.channels[fd].holds) continue
      this.#batches.add({ kind: 'release', state, fd, time: Date.now(), size: 0 })
    }
  }

  #releaseOverdue(state: StreamState, fd: LogFd): void {
    const { pushes } = state.channels[fd]
    this.#batches.add({ kind: 'release', state, fd, pushes, time: Date.now(), size: 0 })
  }
}
