/** Lets one piece of work a key go on at a time in this process; who comes later waits, and is told so. */
export class KeyedQueue {
  readonly #last = new Map<string, Promise<unknown>>()

  /** @param work is told whether another one was under way when it came */
  async run<T>(key: string, work: (waited: boolean) => Promise<T>): Promise<T> {
    const before = this.#last.get(key)
    const turn = (async () => {
      // How the one before ended is its own caller's to know.
      await before?.catch(() => {})
      return await work(before !== undefined)
    })()
    this.#last.set(key, turn)
    try {
      return await turn
    } finally {
      if (this.#last.get(key) === turn) this.#last.delete(key)
    }
  }
}
