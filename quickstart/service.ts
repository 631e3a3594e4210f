import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import Docker from 'dockerode'
import { freePort } from '../machine/free-port.ts'
import { endProcess, endWithUs } from '../machine/process.ts'

/** The service as a process of its own, as `npm start` runs it. */
export interface ServiceProcess {
  url: string
  /** Host and port, as its registry's images are named. */
  host: string
  token: string
  webhookSecret: string
  /** What it prints. */
  logFile: string
  /**
   * Waits until a container of an image waits for a run, as the service's own table of them says.
   * @param image digest of its manifest
   * @param since milliseconds since 1970 before which it was not there yet
   * @returns false where none came within a minute: runs then start cold
   */
  awaitStandby(image: string, since: number): Promise<boolean>
  stop(): Promise<void>
}

const START_SECONDS = 60
const STOP_SECONDS = 60
const STANDBY_SECONDS = 60

/**
 * Starts the service with all of its state below `folder`, and waits until it is ready.
 * @param settings further `MEADOW_*` settings, before those of the surrounding environment
 * @throws {Error} with the end of its log when it does not get ready
 */
export async function startService(folder: string, settings: Record<string, string>): Promise<ServiceProcess> {
  const host = settings.MEADOW_LISTEN ?? `127.0.0.1:${await freePort()}`
  const [token, webhookSecret] = [randomBytes(24).toString('hex'), randomBytes(24).toString('hex')]
  const logFile = join(folder, 'service.log')
  const log = openSync(logFile, 'a')
  const child = spawn(process.execPath, [join(import.meta.dirname, '../service/main.ts')], {
    cwd: folder,
    env: {
      ...process.env,
      MEADOW_DATA: join(folder, 'data'),
      MEADOW_LISTEN: host,
      MEADOW_TOKEN: token,
      MEADOW_WEBHOOK_SECRET: webhookSecret,
      ...settings,
    },
    stdio: ['ignore', log, log],
    // An interrupt at the terminal is passed on by `stop`, in order.
    detached: true,
  })
  closeSync(log)
  const keep = endWithUs(child)
  const ended = () => child.exitCode !== null || child.signalCode !== null
  const stop = async () => {
    if (child.pid !== undefined && !ended()) await endProcess(child.pid, STOP_SECONDS * 1000)
    keep()
  }
  const awaitStandby = (image: string, since: number) => readyStandby(join(folder, 'data/state.db'), image, since)
  const service = { url: `http://${host}`, host, token, webhookSecret, logFile, awaitStandby, stop }
  if (await ready(service.url, ended)) return service
  await stop()
  throw new Error(`The service did not get ready:\n${readFileSync(logFile, 'utf8').slice(-4000)}`)
}

async function ready(url: string, ended: () => boolean): Promise<boolean> {
  const end = Date.now() + START_SECONDS * 1000
  while (!ended() && Date.now() < end) {
    const answer = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(5_000) }).catch(() => undefined)
    if (answer?.ok) return true
    await sleep(50)
  }
  return false
}

async function readyStandby(file: string, image: string, since: number): Promise<boolean> {
  using database = new DatabaseSync(file, { readOnly: true, timeout: 5_000 })
  const ready = database.prepare("select container from standbys where state = 'ready' and created >= ?")
  const docker = new Docker({ timeout: 10_000 })
  const end = Date.now() + STANDBY_SECONDS * 1000
  while (Date.now() < end) {
    for (const { container } of ready.all(since))
      if (await isOf(docker.getContainer(String(container)), image)) return true
    await sleep(10)
  }
  return false
}

/** Whether a container is one of an image; one that is gone is of none. */
async function isOf(container: Docker.Container, image: string): Promise<boolean> {
  try {
    return (await container.inspect()).Config.Labels['run.meadow.image'] === image
  } catch (error) {
    if ((error as { statusCode?: number }).statusCode === 404) return false
    throw error
  }
}
