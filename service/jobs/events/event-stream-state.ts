import type { MaskStream, SecretMask } from '../../secrets/mask.ts'
import { type LogPiece, LogText } from './log-text.ts'

export type LogFd = 'stdout' | 'stderr'

/** A place in the output of a run, as its source counts. */
export interface Mark {
  /** The offset behind the output. Stored with it, so that its reader can resume there. */
  end: number
  /** Called once everything before `end` is stored; of marks that are reached together, for the last one only. */
  stored(): void
}

/** How long the first half of a character is held. */
const HALF_CHARACTER_MS = 50
/** How long the possible beginning of a secret is held: rare, as lines end otherwise, and a leak can't be undone. */
const HALF_SECRET_MS = 1000
/** A stream may be stored at once this often in a row; */
const BURST = 16
/** then once in this time. */
const REFILL_MS = 50

/** Output of one kind on its way from bytes to pieces: masked, then cut. */
export class LogChannel {
  readonly #mask: MaskStream
  readonly #text = new LogText()
  readonly #overdue: () => void
  #timer: NodeJS.Timeout | undefined
  /** How often something was pushed. */
  pushes = 0
  /** Bytes that were refused, as the stream keeps no more. */
  dropped = 0

  /** @param overdue is called when something has been held for too long, and nothing was pushed meanwhile */
  constructor(mask: SecretMask, overdue: () => void) {
    this.#mask = mask.stream()
    this.#overdue = overdue
  }

  /** Whether something is held back. */
  get holds(): boolean {
    return this.#mask.holds || this.#text.holds
  }

  push(bytes: Buffer): LogPiece[] {
    this.pushes += 1
    this.stop()
    const pieces = this.#text.push(this.#mask.push(bytes))
    if (this.holds) {
      this.#timer = setTimeout(this.#overdue, this.#mask.holds ? HALF_SECRET_MS : HALF_CHARACTER_MS).unref()
    }
    return pieces
  }

  /** What is held, as it is. */
  release(): LogPiece[] {
    this.stop()
    return [...this.#text.push(this.#mask.release()), ...this.#text.release()]
  }

  /** Stops the clock. */
  stop(): void {
    clearTimeout(this.#timer)
  }
}

/** What the writer knows of a stream of events. */
export class StreamState {
  readonly id: string
  readonly channels: Record<LogFd, LogChannel>
  /** The last number that was given; unknown until it is looked up. */
  seq: number | undefined
  /** Items that are not stored yet. */
  queued = 0
  /** Bytes of output that were taken. */
  logBytes = 0
  /** The last mark that was passed while something before it was held back. */
  #mark: Mark | undefined
  #hurries = BURST
  #refilled = 0

  /** @param overdue is called with what has held something for too long */
  constructor(id: string, mask: SecretMask, overdue: (state: StreamState, fd: LogFd) => void) {
    this.id = id
    this.channels = {
      stdout: new LogChannel(mask, () => overdue(this, 'stdout')),
      stderr: new LogChannel(mask, () => overdue(this, 'stderr')),
    }
  }

  /** The mark that all output up to here has reached, where there is a new one: what is held back is not stored yet. */
  reached(mark: Mark | undefined): Mark | undefined {
    this.#mark = mark ?? this.#mark
    if (Object.values(this.channels).some(({ holds }) => holds)) return undefined
    const reached = this.#mark
    this.#mark = undefined
    return reached
  }

  /** Whether nothing would be lost if it were forgotten. */
  get isIdle(): boolean {
    return this.queued === 0 && Object.values(this.channels).every(({ holds, dropped }) => !holds && dropped === 0)
  }

  /** Whether its next batch may be stored at once: a reader waits for it, and the stream was quiet. */
  mayHurry(now: number): boolean {
    const refill = Math.floor((now - this.#refilled) / REFILL_MS)
    if (refill > 0) {
      this.#hurries = Math.min(BURST, this.#hurries + refill)
      this.#refilled = now
    }
    if (this.#hurries === 0) return false
    this.#hurries -= 1
    return true
  }
}
