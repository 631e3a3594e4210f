import { Slots } from '../fetch/slots.ts'
import type { BuilderContext } from './context.ts'
import { Frames } from './frames.ts'
import type { Report, ResolveOptions, StepOptions } from './options.ts'
import type { Compiling } from './requests.ts'
import { Step } from './step.ts'
import type { StepSpec } from './step-spec.ts'

/** A container whose program waits for requests. */
export interface KeptStep {
  step: Step
  frames: Frames
}

/** How many are kept, and how long. */
export interface KeepOptions {
  /** Milliseconds that an unused one is kept. */
  keep: number
  /** How many unused ones are kept in all. */
  most: number
  /** How many work at a time; any number where it is not set. */
  atOnce?: number
}

/** Who asks for one, and for which. */
export interface KeptStepOptions extends ResolveOptions {
  /** Whose Python it has, where they differ in that. */
  compiling?: Compiling
}

interface Idle<K extends KeptStep> {
  domain: string
  id: string | undefined
  kept: K
  timer: NodeJS.Timeout
}

/** How long one that was kept may take to say that it is still there, in milliseconds. */
const ANSWER_MS = 5_000

/**
 * Containers that are kept ready for their domain for a while, with what they have learned. They read what users and
 * packages wrote: one that was led astray must not work for another repository, so none is shared between two domains.
 */
export class KeptSteps<K extends KeptStep> {
  readonly #open: (options: KeptStepOptions) => Promise<K>
  readonly #options: KeepOptions
  readonly #slots: Slots
  #idle: Idle<K>[] = []
  #closed = false

  /** @param open makes a container and starts its program, which answers an empty request with an empty answer */
  constructor(open: (options: KeptStepOptions) => Promise<K>, options: KeepOptions) {
    this.#open = open
    this.#options = options
    this.#slots = new Slots(options.atOnce ?? Number.POSITIVE_INFINITY)
  }

  /** Lets `work` have one of them. */
  async use<T>(options: KeptStepOptions, work: (kept: K) => Promise<T>): Promise<T> {
    using _ = await this.#slots.take(options.signal)
    const kept = (await this.#take(options)) ?? (await this.#open(options))
    return await this.#serve(kept, options, work)
  }

  /** Removes all that are kept. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.all(this.#idle.splice(0).map((idle) => this.#discard(idle)))
  }

  /** One that was kept may have died while nobody looked, so it is asked first. */
  async #take({ domain, compiling }: KeptStepOptions): Promise<K | undefined> {
    for (;;) {
      const found = this.#idle.find((idle) => idle.domain === domain && idle.id === compiling?.id)
      if (!found) return undefined
      this.#idle.splice(this.#idle.indexOf(found), 1)
      clearTimeout(found.timer)
      if (await isThere(found.kept)) return found.kept
      await this.#discard(found)
    }
  }

  async #serve<T>(kept: K, options: KeptStepOptions, work: (kept: K) => Promise<T>): Promise<T> {
    const { step } = kept
    const { signal } = options
    const abort = () => step.stop(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    try {
      signal.throwIfAborted()
      const result = await work(kept).catch((error) => step.blame(error))
      await this.#giveBack(kept, options)
      return result
    } catch (error) {
      await step[Symbol.asyncDispose]()
      throw error
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  async #giveBack(kept: K, { domain, compiling }: KeptStepOptions): Promise<void> {
    if (this.#closed || domain === undefined) return await kept.step[Symbol.asyncDispose]()
    kept.step.stopClock()
    const timer = setTimeout(() => void this.#expire(idle), this.#options.keep)
    const idle: Idle<K> = { domain, id: compiling?.id, kept, timer }
    idle.timer.unref()
    this.#idle.push(idle)
    const oldest = this.#idle.length > this.#options.most ? this.#idle.shift() : undefined
    if (oldest) await this.#discard(oldest)
  }

  async #expire(idle: Idle<K>): Promise<void> {
    this.#idle = this.#idle.filter((other) => other !== idle)
    await this.#discard(idle)
  }

  async #discard({ kept, timer }: Idle<K>): Promise<void> {
    clearTimeout(timer)
    await kept.step[Symbol.asyncDispose]()
  }
}

/**
 * Makes a container and starts its program.
 * @param image gives the reference of its image, made where it is missing
 */
export async function openKept(
  context: BuilderContext,
  image: (report: Report) => Promise<string>,
  spec: Omit<StepSpec, 'image'>,
  { signal, report }: StepOptions,
): Promise<KeptStep> {
  const reference = await image(report)
  signal.throwIfAborted()
  // It may outlive this request, and has nothing to say but why it died.
  const unbound = { signal: new AbortController().signal, report: () => {} }
  const step = await Step.open(context, { ...spec, image: reference }, unbound)
  try {
    await step.start()
    return { step, frames: new Frames(step.stdout) }
  } catch (error) {
    await step[Symbol.asyncDispose]()
    throw error
  }
}

/**
 * Sends a line of JSON and bytes behind it, and gives the line that answers it.
 * @throws why its container ended, where it did
 */
export async function ask(
  { step, frames }: KeptStep,
  request: object,
  bytes: AsyncIterable<Uint8Array> = none(),
): Promise<unknown> {
  await step.write(`${JSON.stringify(request)}\n`)
  for await (const piece of bytes) if (!(await step.write(piece))) break
  const answer = await frames.line()
  if (answer !== undefined) return answer
  await step.finish()
  throw step.lost()
}

async function isThere(kept: KeptStep): Promise<boolean> {
  kept.step.restartClock()
  const silent = setTimeout(() => kept.step.stop(new Error('it does not answer')), ANSWER_MS)
  try {
    await ask(kept, {})
    return true
  } catch {
    return false
  } finally {
    clearTimeout(silent)
  }
}

async function* none(): AsyncGenerator<Uint8Array> {}
