/** How things are prepared. Times in milliseconds. */
export interface PreparedOptions {
  /** From the wish to the making: whoever made the wish has something else to do first. */
  later: number
  /** How long one is kept. */
  lifetime: number
  /** How many are kept. */
  most: number
}

/** What can be prepared. */
export interface Waiting extends AsyncDisposable {
  /** Whether it could still do what it was made for. */
  readonly waits: boolean
}

interface Entry<T> {
  /** Undefined until it is made. */
  value: T | undefined
  timer: NodeJS.Timeout
}

/** Things that are likely to be wanted soon, made while nobody waits for them. Closes those that nobody took. */
export class Prepared<T extends Waiting> implements AsyncDisposable {
  readonly #options: PreparedOptions
  /** In the order of the wishes. */
  readonly #entries = new Map<string, Entry<T>>()

  constructor(options: PreparedOptions) {
    this.#options = options
  }

  /** Takes what was prepared under a name and still waits; whoever takes it disposes of it. */
  async take(name: string): Promise<T | undefined> {
    const value = this.#entries.get(name)?.value
    if (value === undefined) return undefined
    if (!value.waits) {
      await this.#drop(name)
      return undefined
    }
    clearTimeout(this.#entries.get(name)?.timer)
    this.#entries.delete(name)
    return value
  }

  /** Makes one a little later, unless there is one by this name. The oldest gives way. */
  wish(name: string, make: () => T): void {
    if (this.#entries.has(name)) return
    const timer = setTimeout(() => {
      entry.timer = setTimeout(() => void this.#drop(name), this.#options.lifetime).unref()
      try {
        entry.value = make()
      } catch {
        // Whoever needs it makes it then, and hears what is wrong.
        void this.#drop(name)
      }
    }, this.#options.later).unref()
    const entry: Entry<T> = { value: undefined, timer }
    this.#entries.set(name, entry)
    const [oldest] = this.#entries.keys()
    if (this.#entries.size > this.#options.most && oldest !== undefined) void this.#drop(oldest)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#entries.keys()].map((name) => this.#drop(name)))
  }

  async #drop(name: string): Promise<void> {
    const entry = this.#entries.get(name)
    this.#entries.delete(name)
    clearTimeout(entry?.timer)
    await entry?.value?.[Symbol.asyncDispose]()
  }
}
