import type { Database, Topic } from '../database/database.ts'

/** Tells one waiter that some topics were notified; what rings while nobody waits is kept for the next wait. */
export class Bell implements Disposable {
  readonly #stops: (() => void)[]
  #rung = false
  #wake = () => {}

  constructor(database: Database, topics: Iterable<Topic>) {
    this.#stops = [...topics].map((topic) => database.subscribe(topic, () => this.#ring()))
  }

  /**
   * Waits until it rings, or for some milliseconds.
   * @throws the signal's reason when it is aborted
   */
  async wait(ms: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (!this.#rung) {
      const { promise, resolve } = Promise.withResolvers<void>()
      const timer = setTimeout(resolve, ms)
      this.#wake = resolve
      signal.addEventListener('abort', resolve as () => void, { once: true })
      await promise
      clearTimeout(timer)
      signal.removeEventListener('abort', resolve as () => void)
    }
    this.#rung = false
    signal.throwIfAborted()
  }

  [Symbol.dispose](): void {
    for (const stop of this.#stops) stop()
  }

  #ring(): void {
    this.#rung = true
    this.#wake()
  }
}
