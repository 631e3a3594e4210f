import { Readable, type Writable } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'
import { type Attachment, type Container, EngineUnavailable } from '../engine/engine.ts'
import { type BuilderContext, type BuilderLimits, LimitReached } from './context.ts'
import { BrokenFrames, OutputEnded } from './frames.ts'
import type { StepOptions } from './options.ts'
import { containerSpec, type StepSpec, stepFiles } from './step-spec.ts'

const DISK_INTERVAL = 2000
/** How much of stderr is kept for error messages, in characters. */
const TAIL = 65_536
/** How long a container may take to end after it was killed, in milliseconds. */
const GRACE = 30_000

/** A step's process failed. */
export class StepFailed extends Error {
  override name = 'StepFailed'
  readonly exitCode: number
  /** The end of what it said on stderr. */
  readonly log: string
  constructor(step: string, exitCode: number, log: string) {
    super(`${step} failed with exit code ${exitCode}: ${log.trim().split('\n').at(-1) || 'it said nothing'}`)
    this.exitCode = exitCode
    this.log = log
  }
}

/** One container of a step, from its making to its removal. Dispose of it. */
export class Step implements AsyncDisposable {
  readonly #name: string
  readonly #container: Container
  readonly #attachment: Attachment
  readonly #limits: BuilderLimits
  readonly #watchDisk: boolean
  readonly #report: StepOptions['report']
  readonly #signal: AbortSignal
  readonly #onAbort = () => this.stop(this.#signal.reason)
  #clock: NodeJS.Timeout | undefined
  #diskWatch: NodeJS.Timeout | undefined
  #stopped: { reason: unknown } | undefined
  #log = ''
  #logged: Promise<void> = Promise.resolve()

  private constructor(
    spec: StepSpec,
    made: { container: Container; attachment: Attachment; limits: BuilderLimits },
    { signal, report }: StepOptions,
  ) {
    this.#name = spec.name
    this.#container = made.container
    this.#attachment = made.attachment
    this.#limits = made.limits
    this.#watchDisk = spec.watchDisk ?? false
    this.#report = report
    this.#signal = signal
    // A process that ends without reading its input is found out by how it ends.
    this.#attachment.stdin.on('error', () => {})
  }

  /** Makes the container; it does not run yet. */
  static async open(context: BuilderContext, spec: StepSpec, options: StepOptions): Promise<Step> {
    options.signal.throwIfAborted()
    await context.pull(spec.image, options.signal)
    const limits = { ...context.limits, ...spec.limits }
    const container = await context.engine.create(containerSpec(context, spec, limits))
    try {
      const files = stepFiles(context, spec)
      if (files) await container.put(Readable.from([files]), '/')
      const attachment = await container.attach()
      return new Step(spec, { container, attachment, limits }, options)
    } catch (error) {
      await container.remove()
      throw error
    }
  }

  get stdin(): Writable {
    return this.#attachment.stdin
  }

  get stdout(): Readable {
    return this.#attachment.stdout
  }

  /** The end of what it said on stderr so far. */
  get log(): string {
    return this.#log
  }

  get container(): Container {
    return this.#container
  }

  /** Starts it, and its time. */
  async start(): Promise<void> {
    this.#logged = this.#readLog()
    this.#signal.addEventListener('abort', this.#onAbort, { once: true })
    if (this.#signal.aborted) this.#onAbort()
    this.restartClock()
    if (this.#watchDisk) this.#diskWatch = setInterval(() => void this.#checkDisk(), DISK_INTERVAL)
    await this.#container.start()
    // A kill that came before the start hit nothing.
    if (this.#stopped) this.#kill()
  }

  /** Gives it all of its time, from now. */
  restartClock(): void {
    this.stopClock()
    const reached = () => this.stop(new LimitReached(this.#name, 'timeout', this.#limits))
    this.#clock = setTimeout(reached, this.#limits.timeout)
  }

  /** Lets it take as long as it likes. */
  stopClock(): void {
    clearTimeout(this.#clock)
  }

  /** Ends it early. Its output ends, and `finish` throws the reason. */
  stop(reason: unknown): void {
    if (this.#stopped) return
    this.#stopped = { reason }
    this.#kill()
  }

  /** Where it can't be killed its streams are let go of, so that nobody waits for them. */
  #kill(): void {
    this.#container.kill('SIGKILL').catch(() => this.#attachment.close())
  }

  /** Writes to stdin, no faster than it is read. False where it is read no more: how it ended is told by `finish`. */
  async write(bytes: string | Uint8Array): Promise<boolean> {
    if (this.stdin.destroyed) return false
    if (!this.stdin.write(bytes)) await this.#drained()
    return !this.stdin.destroyed
  }

  /**
   * Waits for its end.
   * @throws {StepFailed} where its process failed
   * @throws {LimitReached} where it was ended for a limit; else what it was stopped for
   */
  async finish(): Promise<void> {
    const exit = await this.#container.wait(AbortSignal.timeout(this.#limits.timeout + GRACE))
    await this.#logged
    if (this.#stopped) throw this.#stopped.reason
    if (exit.oom) throw new LimitReached(this.#name, 'memory', this.#limits)
    if (exit.exitCode !== 0) throw new StepFailed(this.#name, exit.exitCode, this.#log)
  }

  /**
   * All that it prints, as text. What runs in it may be hostile, so it is limited.
   * @param most bytes; more end it, and `finish` throws
   */
  async text(most: number): Promise<string> {
    const chunks: Buffer[] = []
    let size = 0
    for await (const chunk of this.stdout as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size <= most) chunks.push(chunk)
      else this.stop(new StepFailed(this.#name, 0, `it printed more than ${most} bytes`))
    }
    return Buffer.concat(chunks).toString()
  }

  /** Throws why its output could not be read: how it ended, where that is the reason, else the error. */
  async blame(error: unknown): Promise<never> {
    if (error instanceof OutputEnded) {
      await this.finish()
      throw this.lost(error)
    }
    if (error instanceof BrokenFrames) {
      this.stop(error)
      await this.finish()
    }
    throw error
  }

  /** The error for a process that ended well and did not say all: what ended early is the connection to it. */
  lost(cause?: unknown): EngineUnavailable {
    return new EngineUnavailable(`the connection to the container for ${this.#name} was lost`, { cause })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stopClock()
    clearInterval(this.#diskWatch)
    this.#signal.removeEventListener('abort', this.#onAbort)
    this.#attachment.close()
    // A container that stays is found by its label and removed later; the work itself is done.
    await this.#container
      .remove()
      .catch((error) => this.#report(`a container of ${this.#name} was left: ${error.message}`))
  }

  #drained(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const done = () => {
      this.stdin.off('drain', done).off('close', done)
      resolve()
    }
    this.stdin.on('drain', done).on('close', done)
    return promise
  }

  async #readLog(): Promise<void> {
    const decoder = new StringDecoder()
    let open = ''
    try {
      for await (const chunk of this.#attachment.stderr) {
        const text = decoder.write(chunk)
        this.#log = (this.#log + text).slice(-TAIL)
        const lines = (open + text).split('\n')
        open = (lines.pop() ?? '').slice(-TAIL)
        for (const line of lines) this.#report(line)
      }
      if (open) this.#report(open)
    } catch (error) {
      // The engine went away: whoever waits for the container hears of it.
      this.stop(error)
    }
  }

  async #checkDisk(): Promise<void> {
    // Where the engine doesn't answer it is asked again; a container that is gone ends the step by itself.
    const used = await this.#container.diskUsed().catch(() => 0)
    if (used > this.#limits.disk) this.stop(new LimitReached(this.#name, 'disk', this.#limits))
  }
}
