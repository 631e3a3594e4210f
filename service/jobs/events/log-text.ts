import { isUtf8 } from 'node:buffer'

/** Bytes of output as an event carries them. */
export type LogPiece = { text: string } | { base64: string }

/** Most bytes of output in one event. */
export const PIECE_BYTES = 64 * 1024

/** Cuts output into pieces: text where it is UTF-8. A character that comes in two halves is held until it is whole. */
export class LogText {
  #held: Buffer = Buffer.alloc(0)

  /** Whether the beginning of a character is held. */
  get holds(): boolean {
    return this.#held.length > 0
  }

  push(bytes: Buffer): LogPiece[] {
    let rest = this.#held.length === 0 ? bytes : Buffer.concat([this.#held, bytes])
    const pieces: LogPiece[] = []
    while (rest.length > 0) {
      const part = rest.subarray(0, PIECE_BYTES)
      const whole = part.subarray(0, part.length - unfinished(part))
      if (whole.length === 0) break
      pieces.push(piece(whole))
      rest = rest.subarray(whole.length)
    }
    this.#held = rest
    return pieces
  }

  /** What is held, as it is. */
  release(): LogPiece[] {
    const held = this.#held
    this.#held = Buffer.alloc(0)
    return held.length === 0 ? [] : [piece(held)]
  }
}

function piece(bytes: Buffer): LogPiece {
  return isUtf8(bytes) ? { text: bytes.toString() } : { base64: bytes.toString('base64') }
}

/** How many bytes at the end are the beginning of a character (RFC 3629, section 3) that goes on behind them. */
function unfinished(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] as number
    if (byte < 0x80) return 0
    if (byte >= 0xc0) return back < (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2) && byte <= 0xf4 ? back : 0
  }
  return 0
}
