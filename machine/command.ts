import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

/** Tells whoever sits at the terminal what happens, one line at a time. */
export type Say = (line: string) => void

/** A command ended badly, could not be started, or took too long. */
export class CommandFailed extends Error {
  override name = 'CommandFailed'
}

/** What a command may be given. */
export interface CommandOptions {
  /** Milliseconds; past them it is killed. */
  timeout: number
  cwd?: string
  env?: NodeJS.ProcessEnv
  /** Called with each line of its output and errors. */
  onLine?: Say
  signal?: AbortSignal
}

/**
 * Runs a command without a shell and without input.
 * @returns what it wrote to stdout
 * @throws {CommandFailed} with the last lines that it wrote
 */
export async function runCommand(command: string, args: string[], options: CommandOptions): Promise<string> {
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: options.env ?? process.env,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: options.timeout,
    killSignal: 'SIGKILL',
    ...(options.signal && { signal: options.signal }),
  })
  const lines: string[] = []
  const stdout: Buffer[] = []
  const heard = (line: string) => {
    lines.push(line)
    if (lines.length > 30) lines.shift()
    options.onLine?.(line)
  }
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk))
  createInterface(child.stdout).on('line', heard)
  createInterface(child.stderr).on('line', heard)
  const ended = await new Promise<string>((resolve, reject) => {
    child.once('error', (error) => reject(new CommandFailed(`${command}: ${error.message}`)))
    child.once('close', (code, signal) => resolve(signal ?? String(code)))
  })
  if (ended === '0') return Buffer.concat(stdout).toString()
  const end = ended === 'SIGKILL' ? `was killed (it may take ${options.timeout / 1000} s)` : `ended with ${ended}`
  throw new CommandFailed([`${command} ${args.join(' ')} ${end}`, ...lines].join('\n  '))
}
