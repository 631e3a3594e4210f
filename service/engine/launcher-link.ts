import type { Attachment, Container, Exit } from './engine.ts'
import { EngineUnavailable } from './engine.ts'
import type { Frame, FrameDecoder } from './frames.ts'

/** The launcher counts on a sign of life in its `silence`, which is several times this. */
const PING_EVERY = 3_000
/** Bytes that wait for a reader until the container is slowed. */
const ROOM = 1 << 20
const COMPLAINTS = 8_192
const EXIT_LIMIT = 10_000

/** The launcher ended without an outcome. */
export class LauncherGone extends Error {
  override name = 'LauncherGone'
  /** How its container ended, where it did. */
  readonly exit: Exit | undefined
  constructor(message: string, exit?: Exit) {
    super(message)
    this.exit = exit
  }
}

/** Its launcher still waits: the task never reached it, so that it can be given to another one. */
export class NeverBegan extends LauncherGone {
  override name = 'NeverBegan'
}

/** A line for the launcher's stdin; see `launcher/__main__.py`. */
export type Command =
  | { task: object }
  | { ack: number }
  | { cancel: { grace: number } }
  | { resume: { offset: number; marker: string } }
  | { ping: true }

/** The conversation with one launcher: commands out, frames in, a sign of life every few seconds. */
export class LauncherLink {
  readonly #container: Container
  readonly #attachment: Attachment
  readonly #decoder: FrameDecoder
  readonly #pings: NodeJS.Timeout
  readonly #queue: Frame[] = []
  #queued = 0
  #complaints = ''
  #ended = false
  #failure: Error | undefined
  #changed = Promise.withResolvers<void>()

  constructor(container: Container, attachment: Attachment, decoder: FrameDecoder) {
    this.#container = container
    this.#attachment = attachment
    this.#decoder = decoder
    this.#pings = setInterval(() => this.send({ ping: true }), PING_EVERY).unref()
    attachment.stdin.on('error', () => {}) // The end of stdout tells.
    attachment.stdout.on('data', (chunk: Buffer) => this.#take(chunk))
    attachment.stdout.on('end', () => this.#end())
    attachment.stdout.on('error', (error) => this.#end(error))
    attachment.stdout.on('close', () => this.#end())
    attachment.stderr.on('data', (chunk: Buffer) => {
      this.#complaints = (this.#complaints + chunk.toString()).slice(-COMPLAINTS)
    })
  }

  /** Whether nothing more will come than what is in the queue. */
  get ended(): boolean {
    return this.#ended
  }

  send(command: Command): void {
    if (!this.#attachment.stdin.destroyed) this.#attachment.stdin.write(`${JSON.stringify(command)}\n`)
  }

  /**
   * The next frame.
   * @throws {LauncherGone | EngineUnavailable | FrameError} when none can come
   */
  async next(): Promise<Frame> {
    for (;;) {
      const frame = this.#queue.shift()
      if (frame) {
        this.#queued -= frame.end - frame.offset
        if (this.#queued < ROOM) this.#attachment.stdout.resume()
        return frame
      }
      if (this.#ended) throw this.#failure ?? (await this.#whyEnded())
      await this.#changed.promise
    }
  }

  /** Whether a frame is here already. */
  get pending(): boolean {
    return this.#queue.length > 0
  }

  /** Resolves when the launcher or the connection to it is gone. */
  async gone(): Promise<void> {
    while (!this.#ended) await this.#changed.promise
  }

  /** Lets go. Who waits for a frame hears of it at once: its container, which goes on, is not asked why. */
  close(): void {
    this.#end(new EngineUnavailable(`the connection to container ${this.#container.id.slice(0, 12)} was given up`))
    this.#attachment.close()
  }

  #take(chunk: Buffer): void {
    if (this.#ended) return
    try {
      for (const frame of this.#decoder.push(chunk)) {
        this.#queue.push(frame)
        this.#queued += frame.end - frame.offset
      }
    } catch (error) {
      this.#end(error as Error)
      this.close()
    }
    if (this.#queued >= ROOM) this.#attachment.stdout.pause()
    this.#wake()
  }

  #end(error?: Error): void {
    if (this.#ended) return
    this.#ended = true
    this.#failure = error
    clearInterval(this.#pings)
    this.#wake()
  }

  #wake(): void {
    this.#changed.resolve()
    this.#changed = Promise.withResolvers()
  }

  async #whyEnded(): Promise<Error> {
    const id = this.#container.id.slice(0, 12)
    const limit = AbortSignal.timeout(EXIT_LIMIT)
    try {
      const exit = await this.#container.wait(limit)
      const why = exit.oom ? 'the container ran out of memory' : `exit code ${exit.exitCode}`
      const said = this.#complaints.trim()
      return new LauncherGone(`the launcher in container ${id} ended (${why})${said ? `: ${said}` : ''}`, exit)
    } catch (error) {
      if (!limit.aborted) return error as Error
      return new EngineUnavailable(`the connection to container ${id} was lost while it runs`, { cause: error })
    }
  }
}
