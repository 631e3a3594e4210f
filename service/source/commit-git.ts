import { type RunningGit, runs, startGit } from '../../common/git-process.ts'
import { ObjectReader } from '../../common/object-reader.ts'
import { FETCH_COMMIT, gitEnvironment } from './git.ts'

/** How one is waited for at most, fetching and reading included, in milliseconds. */
const MOST_MS = 60 * 60_000

/** Where commits are fetched from, and how. */
export interface Remote {
  url: string
  /** `name=value` */
  config: string[]
  env: Record<string, string>
}

/**
 * What one commit needs of git: a process that fetches it, and one that reads what is there then. Both are started at
 * once and wait. The whole service is forked for each, which takes a large one longer than git takes to fetch a small
 * commit: best done before there is a commit.
 */
export class CommitGit implements AsyncDisposable {
  readonly #halt = new AbortController()
  readonly #fetch: RunningGit
  readonly #objects: ObjectReader

  /** @param folder a bare repository */
  constructor(folder: string, { url, config, env }: Remote) {
    const settings = config.flatMap((setting) => ['-c', setting])
    const options = { cwd: folder, signal: this.#halt.signal, timeout: MOST_MS }
    this.#fetch = startGit([...settings, ...FETCH_COMMIT, url], { ...options, env, waits: true })
    this.#fetch.ended.catch(() => {})
    this.#objects = new ObjectReader({ ...options, env: gitEnvironment() })
  }

  /** Whether it could still fetch, and read then. */
  get waits(): boolean {
    return runs(this.#fetch) && this.#objects.reads
  }

  /**
   * Fetches a commit by its 40 hex digits; once only. Disposes of itself where that fails.
   * @throws {GitFailed} and whatever `signal` was aborted with
   */
  async fetch(commit: string, signal: AbortSignal): Promise<void> {
    const halt = () => this.#halt.abort(signal.reason)
    signal.addEventListener('abort', halt)
    if (signal.aborted) halt()
    try {
      this.#fetch.child.stdout.resume()
      this.#fetch.child.stdin.end(`${commit}\n`)
      await this.#fetch.ended
    } catch (error) {
      await this[Symbol.asyncDispose]()
      throw error
    } finally {
      signal.removeEventListener('abort', halt)
    }
  }

  /**
   * Once it has fetched: a reader of the repository, to be disposed of in place of this.
   * @param signal ends it
   */
  objects(signal: AbortSignal): ObjectReader {
    signal.addEventListener('abort', () => this.#halt.abort(signal.reason), { once: true })
    if (signal.aborted) this.#halt.abort(signal.reason)
    return this.#objects
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { child } = this.#fetch
    // What is aborted is told of before its process is gone.
    const gone = child.pid !== undefined && runs(this.#fetch) && new Promise((resolve) => child.once('exit', resolve))
    await this.#objects[Symbol.asyncDispose]()
    this.#halt.abort()
    await gone
  }
}
