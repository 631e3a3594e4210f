import { createHash, type Hash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { writeAll } from '../../common/write-all.ts'
import { type Answer, BrokenOff } from './answer.ts'
import { type Download, FetchFailed, FetchRefused } from './errors.ts'

/** What arrives comes in pieces of a few kB: they are written in larger ones, as each costs a system call. */
const GATHER = 1024 * 1024

/** A file that arrives in one piece or several, hashed on the way. */
export class Transfer {
  readonly #download: Download
  readonly #file: FileHandle
  readonly #maxBytes: number
  readonly #onBytes: (received: number) => void
  #hash: Hash = createHash('sha256')
  #received = 0
  /** The last bytes of what was received, which are not written yet. */
  #gathered: Buffer[] = []
  #gatheredBytes = 0
  #tag: string | undefined

  constructor(download: Download, file: FileHandle, maxBytes: number, onBytes: (received: number) => void) {
    this.#download = download
    this.#file = file
    this.#maxBytes = maxBytes
    this.#onBytes = onBytes
  }

  /** Bytes so far. */
  get received(): number {
    return this.#received
  }

  /** Hex; ends the transfer. */
  digest(): string {
    return this.#hash.digest('hex')
  }

  /** What asks the server for the rest only. RFC 9110, 14.2 and 13.1.5. */
  headers(): Record<string, string> {
    if (this.#received === 0) return {}
    return { range: `bytes=${this.#received}-`, ...(this.#tag ? { 'if-range': this.#tag } : {}) }
  }

  /**
   * Takes a body in.
   * @throws {FetchRefused} when it is too large
   * @throws {BrokenOff} when it ends early
   */
  async take({ status, header, body, url }: Answer): Promise<void> {
    if (status !== 206) await this.restart()
    else if (startOf(header('content-range')) !== this.#received) {
      throw new FetchFailed(this.#download, url, 'the server gave another part than was asked for', true)
    }
    const tag = header('etag')
    if (status === 200) this.#tag = tag?.startsWith('W/') ? undefined : tag
    this.#announced(url, header('content-length'))
    try {
      for await (const chunk of body as AsyncIterable<Buffer>) await this.#append(url, chunk)
    } catch (error) {
      if (error instanceof FetchRefused || isFileError(error)) throw error
      throw new BrokenOff(`it broke off after ${this.#received} bytes`, { cause: error })
    }
    const { size } = this.#download
    if (size !== undefined && this.#received < size) {
      throw new BrokenOff(`it ended after ${this.#received} of ${size} bytes`)
    }
    await this.#write()
  }

  /** Forgets what came so far. */
  async restart(): Promise<void> {
    if (this.#received === 0) return
    this.#received = 0
    this.#gathered = []
    this.#gatheredBytes = 0
    this.#tag = undefined
    this.#hash = createHash('sha256')
    await this.#file.truncate(0)
  }

  /** Refuses a body by its announced length, before the first byte. */
  #announced(url: URL, length: string | undefined): void {
    if (length !== undefined) this.#check(url, this.#received + Number(length))
  }

  async #append(url: URL, chunk: Buffer): Promise<void> {
    this.#check(url, this.#received + chunk.length)
    this.#hash.update(chunk)
    this.#gathered.push(chunk)
    this.#gatheredBytes += chunk.length
    this.#received += chunk.length
    if (this.#gatheredBytes >= GATHER) await this.#write()
    this.#onBytes(this.#received)
  }

  async #write(): Promise<void> {
    const start = this.#received - this.#gatheredBytes
    const bytes = Buffer.concat(this.#gathered)
    this.#gathered = []
    this.#gatheredBytes = 0
    await writeAll(this.#file, bytes, start)
  }

  #check(url: URL, total: number): void {
    const { size } = this.#download
    if (size !== undefined && total > size) {
      throw new FetchRefused(this.#download, url, `has more than the ${size} bytes that the lock says`, 'Lock it anew.')
    }
    if (total > this.#maxBytes) {
      throw new FetchRefused(
        this.#download,
        url,
        `has more than ${this.#maxBytes} bytes`,
        'That is the most that one artifact may have; ask for a smaller one.',
      )
    }
  }
}

function startOf(range: string | undefined): number | undefined {
  const start = /^bytes (\d+)-/.exec(range ?? '')?.[1]
  return start === undefined ? undefined : Number(start)
}

/** Errors of the file system, not of the network. */
function isFileError(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code
  return code === 'ENOSPC' || code === 'EDQUOT' || code === 'EIO' || code === 'EBADF'
}
