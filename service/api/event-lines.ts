import type { Writable } from 'node:stream'
import type { StreamLine } from '../../common/events.ts'
import type { EventRow } from '../database/schema.ts'

/** A reader that takes nothing for this long is let go. */
const STUCK_MS = 300_000

/** Writes lines no faster than their reader takes them. */
export class EventLines {
  readonly #out: Writable
  readonly #signal: AbortSignal
  #last = performance.now()

  constructor(out: Writable, signal: AbortSignal) {
    this.#out = out
    this.#signal = signal
  }

  /** Milliseconds since the last line. */
  get idle(): number {
    return performance.now() - this.#last
  }

  async line(line: StreamLine): Promise<void> {
    await this.#write(`${JSON.stringify(line)}\n`)
  }

  /** Writes events as they are stored, without taking their JSON apart. */
  async events(rows: readonly EventRow[], cursorOf: (seq: number) => string): Promise<void> {
    let text = ''
    for (const { stream, seq, event } of rows) {
      text += `{"cursor":"${cursorOf(seq)}","of":"${stream}","event":{"seq":${seq},${event.slice(1)}}\n`
    }
    if (text !== '') await this.#write(text)
  }

  async #write(text: string): Promise<void> {
    this.#last = performance.now()
    if (this.#out.write(text)) return
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const stuck = setTimeout(reject, STUCK_MS, new Error('the reader of a stream took nothing for 5 minutes'))
    const abort = () => reject(this.#signal.reason)
    this.#out.once('drain', resolve)
    this.#signal.addEventListener('abort', abort, { once: true })
    try {
      this.#signal.throwIfAborted()
      await promise
    } finally {
      clearTimeout(stuck)
      this.#out.off('drain', resolve)
      this.#signal.removeEventListener('abort', abort)
    }
  }
}
