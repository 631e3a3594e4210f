import type { ChildProcess } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/** Whether a process of this id runs. One that has ended but was not collected by its parent does not. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
  return !/^\d+ \(.*\) [ZX] /s.test(procFile(`/proc/${pid}/stat`))
}

/** The processes that a process started and that still exist, where the system has `/proc`. */
export function childrenOf(pid: number): number[] {
  let threads: string[]
  try {
    threads = readdirSync(`/proc/${pid}/task`)
  } catch {
    return []
  }
  return threads.flatMap((thread) =>
    procFile(`/proc/${pid}/task/${thread}/children`).split(' ').filter(Boolean).map(Number),
  )
}

/** A file that vanishes with its process, and that only Linux has. */
function procFile(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

/**
 * Sees to it that a process does not outlive this one, however this one ends (but by SIGKILL).
 * @returns the way to take that back, once somebody else has ended it
 */
export function endWithUs(child: ChildProcess): () => void {
  const end = () => void child.kill('SIGTERM')
  process.once('exit', end)
  return () => process.off('exit', end)
}

/**
 * Asks one process to end and waits for it.
 * @param patience milliseconds, after which it is killed
 */
export async function endProcess(pid: number, patience: number): Promise<void> {
  if (!signal(pid, 'SIGTERM')) return
  if (await gone(pid, patience)) return
  if (!signal(pid, 'SIGKILL')) return
  if (!(await gone(pid, 5_000))) throw new Error(`process ${pid} can't be ended`)
}

function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    process.kill(pid, name)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
    throw error
  }
}

async function gone(pid: number, patience: number): Promise<boolean> {
  const end = Date.now() + patience
  while (isRunning(pid)) {
    if (Date.now() > end) return false
    await sleep(50)
  }
  return true
}
