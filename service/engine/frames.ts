import * as z from 'zod/mini'

/**
 * What the launcher says, as frames: a header of 24 bytes (kind, three zeros, payload length as 32 bits, offset as 64
 * bits, time in microseconds since 1970 as 64 bits; big endian) and the payload. Offsets count the payload bytes of
 * all frames but `ready`; a gap stands for as many as it says. `launcher/__main__.py` describes the other direction.
 */
const KINDS = ['ready', 'stdout', 'stderr', 'outcome', 'gap', 'note', 'began', 'result'] as const
export type FrameKind = (typeof KINDS)[number]

export const FRAME_HEADER = 24
/** What a function returns is at most 16 MB of JSON, everything else is much shorter. */
const MOST_RESULT = 16 << 20
const MOST_PAYLOAD = 1 << 20

/** How the user's process ended. */
export const ProcessOutcome = z.object({
  /** Where it exited. */
  exitCode: z.nullable(z.int()),
  /** `SIGKILL` and so on, where it did not. */
  signal: z.nullable(z.string()),
  /** Why it was told to end, where it was. */
  reason: z.nullable(z.enum(['timeout', 'cancelled', 'unattached'])),
  /** The kernel killed one of its processes because the container wanted more memory than its limit. */
  oom: z.boolean(),
  /** From the task's arrival to the end of its output. */
  seconds: z.number(),
  /** Why the task could not be done: its code says which of the launcher's reasons it is. */
  error: z.nullable(z.object({ code: z.string(), message: z.string(), hint: z.string() })),
})
export type ProcessOutcome = z.infer<typeof ProcessOutcome>

const Ready = z.object({ state: z.enum(['waiting', 'running', 'ended']), python: z.string() })
const Gap = z.object({ bytes: z.int().check(z.positive()) })
const Note = z.object({ text: z.string() })

interface Placed {
  /** Where it begins. */
  offset: number
  /** Where the next one begins: what to acknowledge, and to resume from. */
  end: number
  /** Milliseconds since 1970, when the launcher read or wrote it. */
  time: number
}
export type Frame = Placed &
  (
    | ({ kind: 'ready' } & z.infer<typeof Ready>)
    | { kind: 'stdout' | 'stderr'; bytes: Buffer }
    | { kind: 'began' }
    /** Output that is lost, because nobody took it in time. */
    | { kind: 'gap'; bytes: number }
    | { kind: 'note'; text: string }
    /** JSON that the user's process wrote: hostile input like its output. */
    | { kind: 'result'; text: string }
    | { kind: 'outcome'; outcome: ProcessOutcome }
  )
/** What comes after `ready`. */
export type RunFrame = Exclude<Frame, { kind: 'ready' }>

/** Bytes are not frames, or some are missing. */
export class FrameError extends Error {
  override name = 'FrameError'
}

/** The bytes of a frame. */
export function encodeFrame(kind: FrameKind, offset: number, time: number, payload: Uint8Array): Buffer {
  const header = Buffer.alloc(FRAME_HEADER)
  header.writeUInt8(KINDS.indexOf(kind) + 1, 0)
  header.writeUInt32BE(payload.length, 4)
  header.writeBigUInt64BE(BigInt(offset), 8)
  header.writeBigUInt64BE(BigInt(Math.round(time * 1000)), 16)
  return Buffer.concat([header, payload])
}

/** Cuts a stream of bytes into frames, whatever pieces it comes in. */
export class FrameDecoder {
  #next: number
  #marker: Buffer | undefined
  /** What is not a whole frame yet. */
  #pieces: Buffer[] = []
  #have = 0
  #want = FRAME_HEADER

  /**
   * @param from the offset that the first frame must have
   * @param marker bytes behind which the frames begin; what comes before is left out
   */
  constructor(from = 0, marker?: string) {
    this.#next = from
    this.#marker = marker === undefined ? undefined : Buffer.from(marker)
    if (this.#marker) this.#want = this.#marker.length
  }

  /**
   * Takes some bytes and gives the frames that they complete.
   * @throws {FrameError} after which the decoder is of no more use
   */
  push(chunk: Buffer): Frame[] {
    this.#pieces.push(chunk)
    this.#have += chunk.length
    const frames: Frame[] = []
    while (this.#have >= this.#want) {
      let buffer = this.#pieces.length === 1 ? (this.#pieces[0] as Buffer) : Buffer.concat(this.#pieces, this.#have)
      if (this.#marker) buffer = this.#findMarker(buffer, this.#marker)
      let at = 0
      while (!this.#marker) {
        const frame = this.#decode(buffer.subarray(at))
        if (!frame) break
        at += frame.size
        frames.push(frame.frame)
      }
      const rest = buffer.subarray(at)
      this.#pieces = rest.length > 0 ? [rest] : []
      this.#have = rest.length
    }
    return frames
  }

  /** What is behind the marker; where it is not there, as much of the end as may be its beginning. */
  #findMarker(buffer: Buffer, marker: Buffer): Buffer {
    const at = buffer.indexOf(marker)
    if (at < 0) return buffer.subarray(Math.max(0, buffer.length - marker.length + 1))
    this.#marker = undefined
    this.#want = FRAME_HEADER
    return buffer.subarray(at + marker.length)
  }

  #decode(buffer: Buffer): { frame: Frame; size: number } | undefined {
    this.#want = FRAME_HEADER
    if (buffer.length < FRAME_HEADER) return undefined
    const number = buffer.readUInt32BE(0)
    const kind = number % 0x1000000 === 0 ? KINDS[number / 0x1000000 - 1] : undefined
    if (!kind) throw new FrameError(`bytes ${buffer.toString('hex', 0, 4)} are no kind of frame`)
    const length = buffer.readUInt32BE(4)
    const most = kind === 'result' ? MOST_RESULT : MOST_PAYLOAD
    if (length > most) throw new FrameError(`a frame ${kind} of ${length} bytes is longer than ${most}`)
    const size = FRAME_HEADER + length
    if (buffer.length < size) {
      this.#want = size
      return undefined
    }
    const offset = Number(buffer.readBigUInt64BE(8))
    const time = Number(buffer.readBigUInt64BE(16)) / 1000
    const frame = understand(kind, { offset, end: offset + length, time }, buffer.subarray(FRAME_HEADER, size))
    if (frame.offset !== this.#next) {
      throw new FrameError(`a frame ${kind} has offset ${frame.offset} instead of ${this.#next}`)
    }
    this.#next = frame.end
    return { frame, size }
  }
}

function understand(kind: FrameKind, placed: Placed, payload: Buffer): Frame {
  if (kind === 'stdout' || kind === 'stderr') return { ...placed, kind, bytes: payload }
  if (kind === 'began') return { ...placed, kind }
  if (kind === 'result') return { ...placed, kind, text: payload.toString() }
  if (kind === 'outcome') return { ...placed, kind, outcome: parse(kind, payload, ProcessOutcome) }
  if (kind === 'note') return { ...placed, kind, text: parse(kind, payload, Note).text }
  if (kind === 'ready') return { ...placed, end: placed.offset, kind, ...parse(kind, payload, Ready) }
  const { bytes } = parse(kind, payload, Gap)
  return { ...placed, end: placed.offset + bytes, kind, bytes }
}

function parse<T>(kind: FrameKind, payload: Buffer, schema: z.ZodMiniType<T>): T {
  try {
    return schema.parse(JSON.parse(payload.toString()))
  } catch (error) {
    throw new FrameError(`a frame ${kind} is not understood: ${payload.toString('utf8', 0, 200)}`, { cause: error })
  }
}
