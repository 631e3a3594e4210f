import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { TestContext } from 'node:test'

/** A script of a test in a process of its own, and the lines that it has printed. */
export interface Child {
  process: ChildProcess
  /** The lines so far; grows. */
  lines: string[]
  /** Resolves when a line satisfies the condition, or rejects when the process ends first. */
  line(condition: (line: string) => boolean): Promise<string>
  /** Ends it at once, as a power cut ends a process, and waits until all that it printed is in `lines`. */
  kill(): Promise<void>
  /** Waits for its end by itself. The exit code. */
  ended(): Promise<number | null>
}

/** Starts a TypeScript file with this Node. It is killed after the test. */
export function startChild(t: Pick<TestContext, 'after'>, file: string, args: string[]): Child {
  const process_ = spawn(process.execPath, [file, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  const closed = once(process_, 'close')
  const lines: string[] = []
  const waiting = new Set<() => void>()
  createInterface({ input: process_.stdout }).on('line', (line) => {
    lines.push(line)
    for (const look of waiting) look()
  })
  const kill = async () => {
    process_.kill('SIGKILL')
    await closed
  }
  t.after(kill)
  return {
    process: process_,
    lines,
    kill,
    ended: async () => {
      await closed
      return process_.exitCode
    },
    line: async (condition) => {
      const { promise, resolve, reject } = Promise.withResolvers<string>()
      const look = () => {
        const found = lines.find(condition)
        if (found !== undefined) resolve(found)
      }
      waiting.add(look)
      look()
      closed.then(() => reject(new Error(`${file} ended before it said what was waited for: ${lines.at(-1)}`)))
      try {
        return await promise
      } finally {
        waiting.delete(look)
      }
    },
  }
}
