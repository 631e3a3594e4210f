import type { Readable } from 'node:stream'
import { GitFailed, type GitOptions, type RunningGit, runs, startGit } from './git-process.ts'

/** A git object. What is not read of its content by the time the next is asked for is skipped. */
export interface GitObject {
  type: string
  /** 40 hex digits. */
  id: string
  /** Bytes. */
  size: number
  content: AsyncIterable<Buffer>
}

/**
 * Reads objects of a repository by one `git cat-file --batch`, for as long as it is wanted: starting a process takes
 * longer than reading a small commit. Dispose of it.
 */
export class ObjectReader implements AsyncDisposable {
  readonly #git: RunningGit
  readonly #output: Output

  constructor(options: GitOptions) {
    this.#git = startGit(['cat-file', '--batch'], options)
    // Told where its output ends too early.
    this.#git.ended.catch(() => undefined)
    this.#output = new Output(this.#git.child.stdout, this.#git.ended)
  }

  /** Whether its git is still there. */
  get reads(): boolean {
    return runs(this.#git)
  }

  /**
   * Objects by their ids, or by other names without a newline (`<commit>^{tree}`), in that order; undefined for one
   * that this repository does not have. Memory does not grow with their size. Once this is left half way, nothing more
   * can be read.
   * @throws {GitFailed}
   */
  async *read(names: readonly string[]): AsyncGenerator<GitObject | undefined, void, undefined> {
    if (names.length === 0) return
    this.#git.child.stdin.write(`${names.join('\n')}\n`)
    for (let count = 0; count < names.length; count++) {
      const [, id, type, size] = /^([0-9a-f]{40}) (\w+) (\d+)$/.exec(await this.#output.line()) ?? []
      if (id === undefined || type === undefined) {
        yield undefined
        continue
      }
      const content = this.#output.exactly(Number(size))
      yield { type, id, size: Number(size), content }
      for await (const _skipped of content);
      // A newline of git's own ends every object.
      await this.#output.line()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { child, ended } = this.#git
    child.stdout.destroy()
    child.kill()
    await ended.catch(() => undefined)
  }
}

/** What git prints, in the portions that are asked for. */
class Output {
  readonly #ended: Promise<void>
  readonly #chunks: AsyncIterator<Buffer>
  #rest: Buffer = Buffer.alloc(0)

  constructor(stdout: Readable, ended: Promise<void>) {
    this.#chunks = stdout[Symbol.asyncIterator]()
    this.#ended = ended
  }

  async line(): Promise<string> {
    let end = this.#rest.indexOf(10)
    while (end < 0) {
      this.#rest = Buffer.concat([this.#rest, await this.#more()])
      end = this.#rest.indexOf(10)
    }
    const line = this.#rest.toString('latin1', 0, end)
    this.#rest = this.#rest.subarray(end + 1)
    return line
  }

  /** May be iterated again after it was left half way: it goes on where it was. */
  exactly(size: number): AsyncIterable<Buffer> {
    let left = size
    const next = async () => {
      if (this.#rest.length === 0) this.#rest = await this.#more()
      const part = this.#rest.subarray(0, left)
      this.#rest = this.#rest.subarray(part.length)
      left -= part.length
      return part
    }
    return {
      async *[Symbol.asyncIterator]() {
        while (left > 0) yield await next()
      },
    }
  }

  async #more(): Promise<Buffer> {
    const { value, done } = await this.#chunks.next().catch(() => ({ value: undefined, done: true }))
    if (!done && value) return value
    await this.#ended
    throw new GitFailed(['cat-file', '--batch'], undefined, 'ended in the middle')
  }
}
