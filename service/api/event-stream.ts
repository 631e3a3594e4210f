import type { Request, Response } from 'express'
import type { StreamLine } from '../../common/events.ts'
import type { Database } from '../database/database.ts'
import { type Cursor, EventFollower } from './event-follower.ts'
import { EventLines } from './event-lines.ts'
import { invalid } from './validate.ts'

/** A line comes at least this often, in milliseconds. */
const HEARTBEAT_MS = 10_000
const AGAIN = 'Ask again with ?after= and the last cursor.'

/** The streams of events that are open: NDJSON of `StreamLine`. */
export class EventStreams {
  readonly #database: Database
  readonly #log: (line: string) => void
  readonly #heartbeatMs: number
  readonly #closing = new AbortController()

  constructor(database: Database, log: (line: string) => void, heartbeatMs = HEARTBEAT_MS) {
    this.#database = database
    this.#log = log
    this.#heartbeatMs = heartbeatMs
  }

  /** Streams the events of a run or build behind `?after=`, until its end, the reader's, or the service's. */
  async follow(id: string, request: Request, response: Response): Promise<void> {
    const after = cursorOf(request.query.after)
    response.status(200).set({ 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' })
    // nginx in front would hold lines back.
    response.set('x-accel-buffering', 'no').flushHeaders()
    if (request.method !== 'HEAD') await this.#stream(id, after, response)
    response.end()
  }

  /** Ends all of them with a line that says so. */
  close(): void {
    this.#closing.abort()
  }

  async #stream(id: string, after: Cursor, response: Response): Promise<void> {
    const gone = new AbortController()
    response.once('close', () => gone.abort())
    const signal = AbortSignal.any([gone.signal, this.#closing.signal])
    const lines = new EventLines(response, signal)
    try {
      await new EventFollower(this.#database, lines, signal, this.#heartbeatMs).follow(id, after)
      await lines.line({ end: true })
    } catch (error) {
      if (gone.signal.aborted) return
      // The status is sent already: a line is the only place left for what went wrong.
      response.write(`${JSON.stringify(this.#lastLine(id, error))}\n`)
    }
  }

  #lastLine(id: string, error: unknown): StreamLine {
    if (this.#closing.signal.aborted) return { error: { code: 'closing', message: 'the service stops', hint: AGAIN } }
    this.#log(`events of ${id}: ${error instanceof Error ? error.stack : String(error)}`)
    return { error: { code: 'internal', message: 'the service failed to read events', hint: AGAIN } }
  }
}

function cursorOf(after: unknown): Cursor {
  if (after === undefined) return { own: 0, inner: 0 }
  const match = typeof after === 'string' ? /^(\d{1,15})(?:\.(\d{1,15}))?$/.exec(after) : null
  if (match === null) throw invalid('after: must be a cursor of this stream', 'Give the cursor of the last line.')
  return { own: Number(match[1]), inner: Number(match[2] ?? 0) }
}
