import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../machine/free-port.ts'

/** Where a service lives and what it is told; stays the same from start to start. */
export interface ServiceHome {
  /** Its data lies in `data`, its log in `service.log`. */
  folder: string
  /** Host and port. */
  host: string
  url: string
  token: string
  webhookSecret: string
  settings: Record<string, string>
}

/** The service as a process of its own. */
export interface RunningService {
  pid: number
  /** Ends it at once, as a power cut would. */
  kill(): Promise<void>
  /** Asks it to end. Its exit code. */
  stop(): Promise<number | null>
}

const READY_MS = 60_000

/** @param settings further `MEADOW_*` settings */
export async function serviceHome(folder: string, settings: Record<string, string>): Promise<ServiceHome> {
  const host = `127.0.0.1:${await freePort()}`
  const secret = () => randomBytes(24).toString('hex')
  return { folder, host, url: `http://${host}`, token: secret(), webhookSecret: secret(), settings }
}

/**
 * Starts the service as `npm start` does.
 * @param until what is waited for: that it listens, or that it is ready for work
 * @throws {Error} with the end of its log where that does not come
 */
export async function startProcess(home: ServiceHome, until: 'healthz' | 'readyz' = 'readyz'): Promise<RunningService> {
  const log = openSync(logFile(home), 'a')
  const child = spawn(process.execPath, [join(import.meta.dirname, '../../service/main.ts')], {
    cwd: home.folder,
    env: {
      ...process.env,
      MEADOW_DATA: join(home.folder, 'data'),
      MEADOW_LISTEN: home.host,
      MEADOW_TOKEN: home.token,
      MEADOW_WEBHOOK_SECRET: home.webhookSecret,
      ...home.settings,
    },
    stdio: ['ignore', log, log],
  })
  closeSync(log)
  const ended = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
  let over = false
  void ended.then(() => {
    over = true
  })
  const end = async (signal: NodeJS.Signals) => {
    if (!over) child.kill(signal)
    const [code] = await ended
    return code
  }
  try {
    await becomes(home, until, () => over)
  } catch (error) {
    await end('SIGKILL')
    throw error
  }
  return { pid: child.pid ?? 0, kill: async () => void (await end('SIGKILL')), stop: () => end('SIGTERM') }
}

/**
 * Waits until it listens, or is ready for work.
 * @throws {Error} with the end of its log where that does not come
 */
export async function becomes(home: ServiceHome, what: 'healthz' | 'readyz', isOver = () => false): Promise<void> {
  const limit = Date.now() + READY_MS
  while (!isOver() && Date.now() < limit) {
    const answer = await fetch(`${home.url}/${what}`, { signal: AbortSignal.timeout(5000) }).catch(() => undefined)
    if (answer?.ok) return
    await sleep(20)
  }
  throw new Error(`the service did not get ready:\n${logOf(home).slice(-4000)}`)
}

/** What it has printed so far. */
export function logOf(home: ServiceHome): string {
  return existsSync(logFile(home)) ? readFileSync(logFile(home), 'utf8') : ''
}

function logFile({ folder }: ServiceHome): string {
  return join(folder, 'service.log')
}
