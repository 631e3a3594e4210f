import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { ZipRefused } from './zip-refused.ts'

/**
 * A file that is read at given places, by calls that block: this runs in threads that do nothing else, where thousands
 * of small reads cost more by promises than by themselves.
 */
export class ZipFile {
  readonly size: number
  readonly #fd: number

  constructor(path: string) {
    this.#fd = openSync(path, 'r')
    this.size = fstatSync(this.#fd).size
  }

  /** @throws {ZipRefused} when the file ends before that */
  read(at: number, length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length)
    for (let done = 0; done < length; ) {
      const count = at < 0 ? 0 : readSync(this.#fd, bytes, done, length - done, at + done)
      if (count === 0) throw new ZipRefused(undefined, `it is cut off: ${length} bytes at ${at} are not all there`)
      done += count
    }
    return bytes
  }

  close(): void {
    closeSync(this.#fd)
  }
}
