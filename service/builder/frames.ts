import type { Readable } from 'node:stream'

/** No line of JSON that a step writes comes near this; the largest hold a lock's text. */
const MAX_LINE = 256 * 2 ** 20

/** A step's output: lines of JSON, each followed by as many bytes as it says. */
export class Frames {
  readonly #source: AsyncIterator<Buffer>
  #chunks: Buffer[] = []
  #buffered = 0

  constructor(stream: Readable) {
    this.#source = stream[Symbol.asyncIterator]()
  }

  /**
   * The next line; undefined at the end.
   * @throws {OutputEnded} where the output ends within it
   */
  async line(): Promise<unknown> {
    let scanned = 0
    for (let index = 0; ; index++) {
      if (index >= this.#chunks.length && !(await this.#read())) {
        if (this.#buffered > 0) throw new OutputEnded('the output ends within a line')
        return undefined
      }
      const chunk = this.#chunks[index] as Buffer
      const end = chunk.indexOf(10)
      if (end >= 0) return parse(this.#take(scanned + end + 1))
      scanned += chunk.length
      if (scanned > MAX_LINE) throw new BrokenFrames('a line has no end')
    }
  }

  /** As many bytes, in pieces. */
  async *pieces(count: number): AsyncGenerator<Buffer> {
    for (let left = count; left > 0; ) {
      if (this.#buffered === 0 && !(await this.#read())) throw new OutputEnded(`the output ends ${left} bytes early`)
      const piece = this.#take(Math.min(left, (this.#chunks[0] as Buffer).length))
      left -= piece.length
      yield piece
    }
  }

  /** As many bytes, at once. */
  async bytes(count: number): Promise<Buffer> {
    while (this.#buffered < count) {
      if (!(await this.#read())) throw new OutputEnded(`the output ends ${count - this.#buffered} bytes early`)
    }
    return this.#take(count)
  }

  async #read(): Promise<boolean> {
    const { done, value } = await this.#source.next()
    if (done) return false
    this.#chunks.push(value)
    this.#buffered += value.length
    return true
  }

  #take(count: number): Buffer {
    const taken: Buffer[] = []
    for (let left = count; left > 0; ) {
      const chunk = this.#chunks[0] as Buffer
      taken.push(chunk.subarray(0, left))
      if (chunk.length > left) this.#chunks[0] = chunk.subarray(left)
      else this.#chunks.shift()
      left -= chunk.length
    }
    this.#buffered -= count
    return taken.length === 1 ? (taken[0] as Buffer) : Buffer.concat(taken, count)
  }
}

/** Output that is not what the step's own program writes. */
export class BrokenFrames extends Error {
  override name = 'BrokenFrames'
}

/** Output that ends in the middle. */
export class OutputEnded extends BrokenFrames {
  override name = 'OutputEnded'
}

function parse(line: Buffer): unknown {
  try {
    return JSON.parse(line.toString())
  } catch (error) {
    throw new BrokenFrames(`a line is no JSON: ${line.subarray(0, 200)}`, { cause: error })
  }
}
