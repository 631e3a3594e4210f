import { spawn } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import Docker from 'dockerode'
import type { Say } from './command.ts'
import { ensurePackages, findProgram, SetupImpossible } from './packages.ts'
import { childrenOf, endProcess, endWithUs, isRunning } from './process.ts'

/** An engine that answers. */
export interface RunningDocker {
  /** Whether this call started it. */
  started: boolean
  /** Ends what this call started; leaves an engine alone that was there before. */
  stop(): Promise<void>
}

/** How an engine of one's own is started. */
export interface DockerOptions {
  say: Say
  socket?: string
  /** The command that starts the engine in the foreground. */
  daemon?: [program: string, ...args: string[]]
}

const SOCKET = '/var/run/docker.sock'
const START_SECONDS = 60

/**
 * Gives a Docker engine: the one that answers, else one that is started here, installed before by apt where it is
 * missing. Says what it does before it does it.
 * @throws {SetupImpossible} where this user can't start or install it; the message says what to do
 */
export async function ensureDocker({ say, socket = SOCKET, daemon }: DockerOptions): Promise<RunningDocker> {
  if (await answers(socket)) return { started: false, stop: async () => {} }
  if (process.getuid?.() !== 0)
    throw new SetupImpossible(
      `No Docker engine answers at ${socket}. Start Docker (or install it: on Debian and Ubuntu, the package ` +
        'docker.io), see that this user may use it, and try again; or run this as root.',
    )
  await ensurePackages(['docker.io', 'iptables'], { say })
  // On a machine with an init system the package starts the engine by itself.
  if (await answers(socket)) return { started: false, stop: async () => {} }
  return await startDockerd(say, socket, daemon ?? [findProgram('dockerd') ?? 'dockerd'])
}

async function startDockerd(say: Say, socket: string, daemon: [string, ...string[]]): Promise<RunningDocker> {
  const folder = mkdtempSync(join(tmpdir(), 'meadow-dockerd-'))
  const logFile = join(folder, 'dockerd.log')
  const log = openSync(logFile, 'a')
  say(`Starting a Docker engine (its log: ${logFile}) …`)
  const [program, ...args] = daemon
  const files = ['--host', `unix://${socket}`, '--pidfile', join(folder, 'dockerd.pid')]
  // A group of its own: an interrupt at the terminal must not end it before those who use it.
  const child = spawn(program, [...args, ...files], { stdio: ['ignore', log, log], detached: true })
  closeSync(log)
  const keep = endWithUs(child)
  const failed = new Promise<never>((_, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`dockerd ended with ${code}`)))
  })
  const stop = async () => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null)
      await endWithChildren(child.pid)
    keep()
    rmSync(folder, { recursive: true, force: true })
  }
  const givenUp = new AbortController()
  try {
    await Promise.race([failed, untilAnswers(socket, givenUp.signal)])
  } catch (error) {
    givenUp.abort()
    const end = readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-15).join('\n  ')
    await stop()
    throw new SetupImpossible(`The Docker engine did not start: ${(error as Error).message}\n  ${end}`)
  }
  failed.catch(() => {})
  child.unref()
  return { started: true, stop }
}

/** dockerd ends its own containerd; one that had to be killed leaves it behind. */
async function endWithChildren(pid: number): Promise<void> {
  const children = childrenOf(pid)
  await endProcess(pid, 30_000)
  for (const child of children) if (isRunning(child)) await endProcess(child, 10_000)
}

async function untilAnswers(socket: string, givenUp: AbortSignal): Promise<void> {
  const end = Date.now() + START_SECONDS * 1000
  while (!givenUp.aborted && !(await answers(socket))) {
    if (Date.now() > end) throw new Error(`it does not answer after ${START_SECONDS} s`)
    await sleep(200)
  }
}

async function answers(socket: string): Promise<boolean> {
  try {
    await new Docker({ socketPath: socket, timeout: 5_000 }).ping()
    return true
  } catch {
    return false
  }
}
