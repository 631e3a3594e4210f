import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'

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

/** How a git is started that is talked with. */
export interface StartOptions extends Omit<GitOptions, 'input'> {
  /** It begins once a line on stdin has told its last argument; without one it ends. */
  waits?: true
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
  const { child, ended } = startGit(args, options)
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

/** git as it runs, and how it ended: `ended` rejects with {GitFailed} for anything but 0. */
export interface RunningGit {
  child: ChildProcessWithoutNullStreams
  ended: Promise<void>
}

/** Whether a git has not ended yet. */
export function runs({ child }: RunningGit): boolean {
  return child.exitCode === null && child.signalCode === null
}

/** A shell that becomes the program that it is given, with one argument more. */
const BECOME = ['-c', 'IFS= read -r last && exec "$0" "$@" "$last"']

/** Starts git, for those who talk with it while it runs. No argument goes through a shell. */
export function startGit(
  args: readonly string[],
  { cwd, env = process.env, signal, timeout = DEFAULT_TIMEOUT, waits }: StartOptions,
): RunningGit {
  const limit = AbortSignal.timeout(timeout)
  const command = ['git', '--no-replace-objects', ...args]
  const [program = '', ...rest] = waits ? ['/bin/sh', ...BECOME, ...command] : command
  const child = spawn(program, rest, {
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
