import { on } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { Blobs } from '../blobs/blobs.ts'
import type { Fragment } from './fragment.ts'
import type { FromThread, ToThread } from './transcode-worker.ts'
import type { InstalledWheel, WheelSource } from './wheel.ts'
import { WheelRefused } from './wheel-refused.ts'

/** A wheel that is to become a fragment. */
export interface TranscodeOptions extends WheelSource {
  /** Where the fragment's bytes are stored. */
  blobs: Blobs
  signal?: AbortSignal
}

/** A wheel as a fragment. */
export interface TranscodedWheel {
  /** Normalised (PEP 503). */
  name: string
  version: string
  fragment: Fragment
}

/** Turns wheels into fragments, in threads of its own: inflating and hashing take seconds. */
export interface Transcoder {
  /**
   * Transcodes one wheel. Nothing is stored of a wheel that is refused.
   * @throws {WheelRefused} naming wheel, entry and reason
   */
  transcode(options: TranscodeOptions): Promise<TranscodedWheel>
  /** Ends the threads; what is under way fails. */
  close(): Promise<void>
}

/** A transcoder with `size` threads, which start when they are first needed. */
export function transcodePool(size: number): Transcoder {
  return new TranscodePool(size)
}

class TranscodePool implements Transcoder {
  readonly #size: number
  readonly #threads = new Set<Worker>()
  readonly #idle: Worker[] = []
  readonly #waiting: (() => void)[] = []
  #closed = false

  constructor(size: number) {
    this.#size = size
  }

  async transcode({ file, filename, python, blobs, signal }: TranscodeOptions): Promise<TranscodedWheel> {
    const thread = await this.#take()
    const job = new Job(thread, { file, filename, python }, signal)
    try {
      const { digest, size } = await blobs.put(job.pieces())
      const { name, version, ...manifest } = job.wheel
      return { name, version, fragment: { digest, size, ...manifest } }
    } finally {
      if (job.isOver) this.#idle.push(thread)
      else await this.#end(thread)
      this.#waiting.shift()?.()
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const wake of this.#waiting.splice(0)) wake()
    await Promise.all([...this.#threads].map((thread) => this.#end(thread)))
  }

  async #take(): Promise<Worker> {
    for (;;) {
      if (this.#closed) throw new Error('the transcoder is closed')
      const idle = this.#idle.pop()
      if (idle) return idle
      if (this.#threads.size < this.#size) break
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
    const thread = new Worker(new URL('./transcode-worker.ts', import.meta.url))
    this.#threads.add(thread)
    return thread
  }

  async #end(thread: Worker): Promise<void> {
    await thread.terminate()
    this.#threads.delete(thread)
  }
}

/** One wheel in one thread. */
class Job {
  /** Whether the thread has nothing of it left to do. */
  isOver = false
  readonly #thread: Worker
  readonly #source: WheelSource
  readonly #signal: AbortSignal | undefined
  #wheel: InstalledWheel | undefined

  constructor(thread: Worker, source: WheelSource, signal: AbortSignal | undefined) {
    this.#thread = thread
    this.#source = source
    this.#signal = signal
  }

  get wheel(): InstalledWheel {
    if (this.#wheel === undefined) throw new Error(`${this.#source.filename}: its bytes were stored before they ended`)
    return this.#wheel
  }

  async *pieces(): AsyncGenerator<Uint8Array, void, undefined> {
    const { filename } = this.#source
    const options = { close: ['exit'], signal: this.#signal }
    const messages = on(this.#thread, 'message', options) as AsyncIterable<[FromThread]>
    this.#send({ source: this.#source })
    for await (const [message] of messages) {
      if (message.kind === 'piece') {
        yield message.bytes
        this.#send('taken')
        continue
      }
      this.isOver = true
      if (message.kind === 'failed') throw message.error
      if (message.kind === 'refused') throw new WheelRefused(filename, message.entry, message.reason, message.hint)
      this.#wheel = message.wheel
      return
    }
    throw new Error(`${filename}: the thread that read it ended`)
  }

  #send(message: ToThread): void {
    this.#thread.postMessage(message)
  }
}
