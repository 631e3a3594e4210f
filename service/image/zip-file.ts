import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { ZipRefused } from './zip-refused.ts'

/**
 * A file that is read at given places, by calls that block: this runs in threads that do nothing else, where thousands
 * of small reads cost more by promises than by themselves.
 */
export class ZipFile {
  readonly size: number
  #fd: number | undefined

  constructor(path: string) {
    const fd = openSync(path, 'r')
    this.#fd = fd
    this.size = fstatSync(fd).size
  }

  /** @throws {ZipRefused} when the file ends before that */
  read(at: number, length: number): Buffer {
    // A stream that is being torn down may still ask, when the number stands for another file already.
    if (this.#fd === undefined) throw new Error('the zip is closed')
    const bytes = Buffer.allocUnsafe(length)
    for (let done = 0; done < length; ) {
      const count = at < 0 ? 0 : readSync(this.#fd, bytes, done, length - done, at + done)
      if (count === 0) throw new ZipRefused(undefined, `it is cut off: ${length} bytes at ${at} are not all there`)
      done += count
    }
    return bytes
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd)
    this.#fd = undefined
  }
}
