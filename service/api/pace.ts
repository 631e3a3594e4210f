/** Keys that are remembered. */
const MOST = 10_000

/** Spreads work of one key: what is asked for again and again is due once an interval. */
export class Pace {
  readonly #intervalMs: number
  /** When work of a key was due last, oldest first. */
  readonly #due = new Map<string, number>()

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs
  }

  /** When work that is asked for now should begin: at once, or an interval after that of the same key before. */
  due(key: string, now: number): number {
    const last = this.#due.get(key)
    const due = last === undefined ? now : Math.max(now, last + this.#intervalMs)
    // Asked for while it still waits: it is the same work.
    if (last === undefined || last <= now) {
      this.#due.delete(key)
      this.#due.set(key, due)
    }
    for (const oldest of this.#due.keys()) {
      if (this.#due.size <= MOST) break
      this.#due.delete(oldest)
    }
    return this.#due.get(key) ?? due
  }
}
