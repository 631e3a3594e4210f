import type { Fetched } from '../../fetch/fetcher.ts'

/**
 * Files that had to be fetched to know their hash, kept while the same work goes on: it wants their bytes next. Dispose
 * of it.
 */
export class FirstFetches implements AsyncDisposable {
  readonly #files = new Map<string, Fetched>()

  /** Takes a file over. */
  async keep(fetched: Fetched): Promise<void> {
    if (this.#files.has(fetched.sha256)) return await fetched[Symbol.asyncDispose]()
    this.#files.set(fetched.sha256, fetched)
  }

  /** A file by its sha256 in hex, where it is here; it stays here when it is disposed of. */
  lend(sha256: string | undefined): Fetched | undefined {
    const known = this.#files.get(sha256 ?? '')
    return known && { ...known, [Symbol.asyncDispose]: async () => {} }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#files.values()].map((each) => each[Symbol.asyncDispose]()))
  }
}
