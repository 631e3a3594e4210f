/** What a run holds of a node while it runs. */
export interface Need {
  /** Bytes. */
  memory: number
  cpus: number
}

/** A run wants more than the whole node has. */
export class NeverFits extends Error {
  override name = 'NeverFits'
  readonly hint = 'Ask for less, or raise MEADOW_NODE_MEMORY and MEADOW_NODE_CPUS on the service.'
}

interface Waiting {
  need: Need
  enter: () => void
  ahead: (count: number) => void
}

/** Lets as many runs in at once as the node has memory and CPUs for; the others wait in the order in which they came. */
export class Admission {
  readonly #total: Need
  #free: Need
  #waiting: Waiting[] = []

  constructor(total: Need) {
    this.#total = total
    this.#free = { ...total }
  }

  /** What nobody has taken; below nothing where runs of an earlier process have more than there is. */
  get free(): Need {
    return this.#free
  }

  /**
   * Waits for room and takes it.
   * @param ahead is called with the number of runs that wait before this one, whenever that changes
   * @returns gives the room back; calling it twice does no harm
   * @throws {NeverFits} when the whole node is too small; the signal's reason when it is aborted
   */
  async enter(need: Need, signal: AbortSignal, ahead: (count: number) => void): Promise<() => void> {
    signal.throwIfAborted()
    this.check(need)
    if (this.#waiting.length > 0 || !fits(need, this.#free)) await this.#wait(need, signal, ahead)
    else this.#take(need)
    return this.#once(need)
  }

  /** @throws {NeverFits} when the whole node is too small */
  check(need: Need): void {
    if (fits(need, this.#total)) return
    throw new NeverFits(`${describe(need)} were asked for, and the node has ${describe(this.#total)} for runs`)
  }

  /** Takes room that is used already, by a run of an earlier process, whether there is any or not. */
  occupy(need: Need): () => void {
    this.#take(need)
    return this.#once(need)
  }

  #once(need: Need): () => void {
    let held = true
    return () => {
      if (held) this.#give(need)
      held = false
    }
  }

  #wait(need: Need, signal: AbortSignal, ahead: (count: number) => void): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const leave = () => {
      this.#waiting = this.#waiting.filter((other) => other !== waiting)
      this.#admit()
      this.#tell()
      reject(signal.reason)
    }
    const waiting = {
      need,
      ahead,
      enter: () => {
        signal.removeEventListener('abort', leave)
        resolve()
      },
    }
    signal.addEventListener('abort', leave, { once: true })
    this.#waiting.push(waiting)
    ahead(this.#waiting.length - 1)
    return promise
  }

  #take(need: Need): void {
    this.#free = { memory: this.#free.memory - need.memory, cpus: this.#free.cpus - need.cpus }
  }

  #give(need: Need): void {
    this.#free = { memory: this.#free.memory + need.memory, cpus: this.#free.cpus + need.cpus }
    this.#admit()
  }

  /** Strictly first come, first served: a big run is never passed by small ones for ever. */
  #admit(): void {
    const before = this.#waiting.length
    for (let next = this.#waiting[0]; next && fits(next.need, this.#free); next = this.#waiting[0]) {
      this.#waiting.shift()
      this.#take(next.need)
      next.enter()
    }
    if (this.#waiting.length !== before) this.#tell()
  }

  #tell(): void {
    this.#waiting.forEach((waiting, index) => void waiting.ahead(index))
  }
}

function fits(need: Need, free: Need): boolean {
  // CPU shares are fractions: sums of them miss by a rounding error.
  return need.memory <= free.memory && need.cpus <= free.cpus + 1e-9
}

function describe(need: Need): string {
  return `${(need.memory / 2 ** 20).toFixed(0)} MiB of memory and ${Number(need.cpus.toFixed(3))} CPUs`
}
