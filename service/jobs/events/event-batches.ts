import { setImmediate as turn } from 'node:timers/promises'
import type { Database } from '../../database/database.ts'
import { append, lastSeq } from '../../database/events.ts'
import type { EventRow } from '../../database/schema.ts'
import { type EventItem, grouped, told } from './event-items.ts'
import type { StreamState } from './event-stream-state.ts'

/** Events could not be stored. They are kept in memory and tried again. */
export class EventsNotStored extends Error {
  override name = 'EventsNotStored'
}

/** Bytes a batch. */
const BATCH_BYTES = 256 * 1024
/** Rows a statement. */
const BATCH_ROWS = 100
/** From an event to its batch, where its stream has been busy. */
const BATCH_MS = 50
/** Between attempts to store a batch. */
const RETRY_MS = 1000
/** Who adds more than this has to wait. */
const MOST_PENDING = 4 * 2 ** 20

export interface EventBatchesOptions {
  database: Pick<Database, 'events' | 'notify'>
  report(message: string, error: unknown): void
}

/** Numbers items in the order in which they came, and stores them in batches. */
export class EventBatches {
  readonly #options: EventBatchesOptions
  #items: EventItem[] = []
  /** Numbered but not stored yet, and the items that they were made of. */
  #rows: EventRow[] = []
  #taken: EventItem[] = []
  /** Who wants to know when the rows are stored. */
  #stored: (() => void)[] = []
  /** Bytes that wait in items or rows. */
  #pending = 0
  #room = Promise.withResolvers<void>()
  #storing: Promise<void> | undefined
  #again = false
  #failing = false
  #timer: NodeJS.Timeout | undefined
  #closed = false

  constructor(options: EventBatchesOptions) {
    this.#options = options
  }

  /** Adds an item. It is stored at once where its stream was quiet or much is waiting, else with what comes soon. */
  add(item: EventItem): void {
    item.state.queued += 1
    this.#items.push(item)
    this.#pending += item.size
    if (this.#failing) return
    if (this.#pending >= BATCH_BYTES || item.state.mayHurry(performance.now())) this.#storeSoon()
    else this.#timer ??= setTimeout(() => this.#storeSoon(), BATCH_MS)
  }

  /** Resolves when not too much is waiting. */
  async room(): Promise<void> {
    while (this.#pending > MOST_PENDING) await this.#room.promise
  }

  /**
   * Stores all that was added.
   * @throws {EventsNotStored}
   */
  async flush(): Promise<void> {
    // What is being stored now may have begun before the last was added; how it ends is told by the next attempt.
    await this.#storing?.catch(() => {})
    await this.#store()
  }

  /** Stores all that was added, and tries no more where that fails. */
  async close(): Promise<void> {
    this.#closed = true
    try {
      await this.flush()
    } finally {
      clearTimeout(this.#timer)
      // Nobody may wait for room that never comes.
      this.#free(this.#pending)
    }
  }

  #storeSoon(): void {
    if (this.#storing !== undefined) this.#again = true
    // A failure was reported, and is tried again.
    else this.#store().catch(() => {})
  }

  #store(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#storing ??= this.#storeWaiting().finally(() => {
      this.#storing = undefined
      const again = this.#again && !this.#failing
      this.#again = false
      if (again) this.#storeSoon()
    })
    return this.#storing
  }

  /** Stores what waits now; what is added meanwhile gathers for the next time. */
  async #storeWaiting(): Promise<void> {
    try {
      // What is added in this turn of the event loop still comes along.
      await turn()
      let left = this.#items.length
      while (left > 0 || this.#rows.length > 0) {
        left -= await this.#take(left)
        await this.#storeRows()
        if (left > 0) await turn()
      }
      this.#failing = false
    } catch (cause) {
      if (!this.#failing) this.#options.report('events could not be stored; they are kept and tried again', cause)
      this.#failing = true
      if (!this.#closed) this.#timer = setTimeout(() => this.#storeSoon(), RETRY_MS)
      throw new EventsNotStored('events could not be stored', { cause })
    }
  }

  /** Turns some of the first items into rows. How many it took. */
  async #take(most: number): Promise<number> {
    let count = 0
    for (let size = 0; count < most && size < BATCH_BYTES; count++) size += this.#items[count]?.size ?? 0
    const items = this.#items.slice(0, count)
    for (const { state } of items) state.seq ??= await lastSeq(this.#options.database.events, state.id)
    this.#items.splice(0, count)
    this.#taken.push(...items)
    for (const group of grouped(items)) {
      const { events, stored } = told(group)
      for (const event of events) this.#number(group[0].state, event)
      if (stored !== undefined) this.#stored.push(stored)
    }
    return count
  }

  #number(state: StreamState, event: string): void {
    state.seq = (state.seq ?? 0) + 1
    this.#rows.push({ stream: state.id, seq: state.seq, event })
  }

  async #storeRows(): Promise<void> {
    const { database } = this.#options
    while (this.#rows.length > 0) {
      const rows = this.#rows.slice(0, BATCH_ROWS)
      await append(database.events, rows)
      this.#rows.splice(0, rows.length)
      for (const stream of new Set(rows.map((row) => row.stream))) database.notify(`events:${stream}`)
    }
    // In microtasks of their own: one that throws is no failure of this batch.
    for (const stored of this.#stored.splice(0)) queueMicrotask(stored)
    for (const { state } of this.#taken) state.queued -= 1
    this.#free(this.#taken.reduce((sum, { size }) => sum + size, 0))
    this.#taken = []
  }

  #free(bytes: number): void {
    this.#pending -= bytes
    this.#room.resolve()
    this.#room = Promise.withResolvers()
  }
}
