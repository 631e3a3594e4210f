import type { Event } from '../../common/events.ts'
import { buildById } from '../database/builds.ts'
import type { Database } from '../database/database.ts'
import { readEvents } from '../database/events.ts'
import { runById } from '../database/runs.ts'
import type { EventRow } from '../database/schema.ts'
import { Bell } from './bell.ts'
import type { EventLines } from './event-lines.ts'

/** Events read at once: with 256 kB each, what a slow reader holds at most is 8 MB. */
const PAGE = 32
/** A row that says it has ended may be this far ahead of its last event. */
const GRACE_MS = 1000

type StateEvent = Extract<Event, { kind: 'state' }>

/** Behind which event to go on: of the run or build itself, and of the build that this event of a run names. */
export interface Cursor {
  own: number
  inner: number
}

/** Writes the events of a run or build in order as they come, those of a build that a run waits for in their place. */
export class EventFollower {
  readonly #database: Database
  readonly #lines: EventLines
  readonly #signal: AbortSignal
  readonly #heartbeatMs: number
  readonly #told = new Set<string>()

  constructor(database: Database, lines: EventLines, signal: AbortSignal, heartbeatMs: number) {
    this.#database = database
    this.#lines = lines
    this.#signal = signal
    this.#heartbeatMs = heartbeatMs
  }

  /** Resolves after the final state event. */
  async follow(id: string, { own, inner }: Cursor): Promise<void> {
    const resumed = await this.#event(id, own)
    if (resumed !== undefined) await this.#buildOf(id, resumed, inner)
    await this.#pass(id, own, String, (row) => this.#buildOf(id, row, 0))
  }

  /** Writes the events of the build that a run's event names, where it names one that was not told yet. */
  async #buildOf(run: string, row: EventRow, after: number): Promise<void> {
    const build = stateOf(row)?.build
    if (build === undefined || build === run || this.#told.has(build)) return
    this.#told.add(build)
    await this.#pass(build, after, (seq) => `${row.seq}.${seq}`, undefined, run)
  }

  /**
   * Writes a stream's events from behind `after` to its final state.
   * @param between is called after each state event that is not final
   * @param run the run on whose behalf a build is followed: when it ends first, its build is left
   */
  async #pass(
    stream: string,
    after: number,
    cursorOf: (seq: number) => string,
    between?: (row: EventRow) => Promise<void>,
    run?: string,
  ): Promise<void> {
    using bell = new Bell(this.#database, [
      `events:${stream}`,
      ...(run === undefined ? [] : [`events:${run}` as const]),
    ])
    if (await this.#isFinal(stream, after)) return
    let last = after
    let overSince: number | undefined
    for (;;) {
      const page = await readEvents(this.#database.events, stream, last, PAGE)
      let written = 0
      for (const [at, row] of page.entries()) {
        const state = stateOf(row)
        if (state === undefined) continue
        await this.#lines.events(page.slice(written, at + 1), cursorOf)
        written = at + 1
        if (isEnd(state)) return
        await between?.(row)
      }
      await this.#lines.events(page.slice(written), cursorOf)
      last = page.at(-1)?.seq ?? last
      if (page.length > 0) continue
      if (run !== undefined && (await this.#isOver(run))) return
      if (await this.#isOver(stream)) overSince ??= performance.now()
      if (overSince !== undefined && performance.now() - overSince >= GRACE_MS) return
      await this.#wait(bell, overSince === undefined ? this.#heartbeatMs : GRACE_MS)
    }
  }

  async #wait(bell: Bell, ms: number): Promise<void> {
    await bell.wait(Math.max(1, Math.min(ms, this.#heartbeatMs - this.#lines.idle)), this.#signal)
    if (this.#lines.idle >= this.#heartbeatMs) await this.#lines.line({ heartbeat: new Date().toISOString() })
  }

  async #event(stream: string, seq: number): Promise<EventRow | undefined> {
    const [row] = await readEvents(this.#database.events, stream, seq - 1, 1)
    return row?.seq === seq ? row : undefined
  }

  async #isFinal(stream: string, seq: number): Promise<boolean> {
    const row = await this.#event(stream, seq)
    const state = row && stateOf(row)
    return state !== undefined && isEnd(state)
  }

  /** Whether a run or build has ended, as its row says; its events may be late, and its last one lost in a power cut. */
  async #isOver(id: string): Promise<boolean> {
    const row = await (id.startsWith('run_') ? runById : buildById)(this.#database.state, id)
    return row === undefined || row.state === 'finished' || row.state === 'failed'
  }
}

function isEnd({ state }: StateEvent): boolean {
  return state === 'finished' || state === 'failed'
}

/** The state event that a row holds. Most rows are logs, which are not taken apart. */
function stateOf({ seq, event }: EventRow): StateEvent | undefined {
  if (!event.includes('"kind":"state"')) return undefined
  const parsed = JSON.parse(event) as Event
  return parsed.kind === 'state' ? { ...parsed, seq } : undefined
}
