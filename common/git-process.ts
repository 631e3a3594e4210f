import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import type { Readable } from 'node:stream'

/** Where git works, and for how long it may. */
export interface GitOptions {
  /** A checkout or a bare repository. */
  cwd: string
  /** All of git's environment; the caller's own where it is not set. */
  env?: NodeJS.ProcessEnv
  signal?: AbortSignal
  /** Milliseconds. */
  timeout?: number
  /** What git reads on stdin. */
  input?: Uint8Array
}

/** git ended badly, or is not there. */
export class GitFailed extends Error {
  override name = 'GitFailed'
  readonly exitCode: number | undefined
  readonly stderr: string
  constructor(args: readonly string[], exitCode: number | undefined, stderr: string) {
    super(`git ${args.join(' ')}: ${stderr.trim() || `ended with exit code ${exitCode}`}`)
    this.exitCode = exitCode
    this.stderr = stderr
  }
}

const MAX_OUTPUT = 512 * 1024 * 1024
const MAX_STDERR = 64 * 1024
const DEFAULT_TIMEOUT = 120_000

/**
 * Runs git without a shell and gives what it printed.
 * @throws {GitFailed} when it ends with anything but 0, or takes too long
 */
export async function git(args: readonly string[], options: GitOptions): Promise<Buffer> {
  const { child, ended } = start(args, options)
  child.stdin.end(options.input)
  const chunks: Buffer[] = []
  let size = 0
  child.stdout.on('data', (chunk: Buffer) => {
    size += chunk.length
    if (size > MAX_OUTPUT) child.kill()
    else chunks.push(chunk)
  })
  await ended.catch((error: unknown) => {
    throw size > MAX_OUTPUT ? new GitFailed(args, undefined, `printed more than ${MAX_OUTPUT} bytes`) : error
  })
  return Buffer.concat(chunks)
}

/** A git object. What is not read of its content by the time the next is asked for is skipped. */
export interface GitObject {
  type: string
  /** Bytes. */
  size: number
  content: AsyncIterable<Buffer>
}

/**
 * Objects by their ids, in that order, by one `git cat-file --batch`; undefined for one that this repository does not
 * have. Memory does not grow with their size.
 * @throws {GitFailed}
 */
export async function* readObjects(
  ids: readonly string[],
  options: GitOptions,
): AsyncGenerator<GitObject | undefined, void, undefined> {
  if (ids.length === 0) return
  const { child, ended } = start(['cat-file', '--batch', '--buffer'], options)
  ended.catch(() => undefined)
  child.stdin.end(`${ids.join('\n')}\n`)
  const output = new Output(child.stdout, ended)
  try {
    for (let count = 0; count < ids.length; count++) {
      const [, type, size] = /^[0-9a-f]{40} (\w+) (\d+)$/.exec(await output.line()) ?? []
      if (type === undefined) {
        yield undefined
        continue
      }
      const content = output.exactly(Number(size))
      yield { type, size: Number(size), content }
      for await (const _skipped of content);
      // A newline of git's own ends every object.
      await output.line()
    }
  } finally {
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

function start(args: readonly string[], { cwd, env = process.env, signal, timeout = DEFAULT_TIMEOUT }: GitOptions) {
  const limit = AbortSignal.timeout(timeout)
  const child = spawn('git', ['--no-replace-objects', ...args], {
    cwd,
    // git's messages are read by our own code: one language, and no question at a terminal.
    env: { ...env, LC_ALL: 'C', GIT_TERMINAL_PROMPT: '0', GIT_OPTIONAL_LOCKS: '0' },
    signal: signal ? AbortSignal.any([signal, limit]) : limit,
    windowsHide: true,
  })
  // Writing to a git that is gone fails too; how it ended says more.
  child.stdin.on('error', () => undefined)
  const ended = outcome(child, args, limit, timeout)
  return { child, ended }
}

async function outcome(
  child: ChildProcessWithoutNullStreams,
  args: readonly string[],
  limit: AbortSignal,
  timeout: number,
): Promise<void> {
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-MAX_STDERR)
  })
  const { promise, resolve, reject } = Promise.withResolvers<number | null>()
  child.on('error', reject)
  child.on('close', resolve)
  try {
    const code = await promise
    if (code !== 0) throw new GitFailed(args, code ?? undefined, stderr)
  } catch (error) {
    if (error instanceof GitFailed) throw error
    if (limit.aborted) throw new GitFailed(args, undefined, `did not end within ${timeout / 1000} s`)
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
      throw new GitFailed(args, undefined, 'the program git was not found; install it and put it in PATH')
    }
    throw error
  }
}
