/** Some bits, the first of them lowest. */
interface Code {
  bits: number
  count: number
}

/** Bytes of a match. */
const SHORTEST = 3
const LONGEST = 258
/** The shortest match that each symbol from 257 on stands for (RFC 1951, 3.2.5). */
const LENGTHS = [3, 4, 5, 6, 7, 8, 9, 10, ...[1, 2, 3, 4, 5].flatMap(lengthsWithBits), LONGEST]

const BYTES = Array.from({ length: 256 }, (_, byte) => symbol(byte))
const END_OF_BLOCK = symbol(256)
/** By their lengths. */
const RUNS = Array.from({ length: LONGEST + 1 }, (_, length) => (length < SHORTEST ? undefined : run(length)))

/**
 * Deflates a tar header: one block of fixed codes, in which runs of a byte are matches. Before every file of a layer
 * there is one, and zlib takes longer to get ready than this takes.
 */
export function deflateHeader(header: Uint8Array): Buffer {
  const out = Buffer.allocUnsafe(Math.ceil((3 + 9 * header.length + END_OF_BLOCK.count) / 8))
  let size = 0
  // The last block, and its type.
  let bits = 0b011
  let count = 3
  const put = (code: Code) => {
    bits |= code.bits << count
    count += code.count
    for (; count >= 8; count -= 8) {
      out[size++] = bits & 0xff
      bits >>>= 8
    }
  }
  for (let at = 0; at < header.length; ) {
    const byte = header[at++] as number
    put(BYTES[byte] as Code)
    let length = 0
    while (length < LONGEST && header[at + length] === byte) length++
    const code = RUNS[length]
    if (code === undefined) continue
    put(code)
    at += length
  }
  put(END_OF_BLOCK)
  if (count > 0) out[size++] = bits
  return out.subarray(0, size)
}

/** The codes of 3.2.6, which go into the stream from their highest bit on. */
function symbol(value: number): Code {
  if (value < 144) return reversed(0b00110000 + value, 8)
  if (value < 256) return reversed(0b110010000 + value - 144, 9)
  if (value < 280) return reversed(value - 256, 7)
  return reversed(0b11000000 + value - 280, 8)
}

/** As many bytes more like the one before: a length with its extra bits, and the distance 1, which is five zeros. */
function run(length: number): Code {
  const index = LENGTHS.findLastIndex((shortest) => shortest <= length)
  const { bits, count } = symbol(257 + index)
  const extra = index < 8 || length === LONGEST ? 0 : Math.floor(index / 4) - 1
  return { bits: bits | ((length - (LENGTHS[index] as number)) << count), count: count + extra + 5 }
}

/** Four symbols have as many extra bits each. */
function lengthsWithBits(extra: number): number[] {
  return [4, 5, 6, 7].map((first) => (first << extra) + SHORTEST)
}

function reversed(bits: number, count: number): Code {
  let turned = 0
  for (let bit = 0; bit < count; bit++) turned |= ((bits >> bit) & 1) << (count - 1 - bit)
  return { bits: turned, count }
}
