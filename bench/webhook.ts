import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { runCommand } from '../machine/command.ts'
import { freePort } from '../machine/free-port.ts'
import { endProcess } from '../machine/process.ts'
import type { Bench } from './bench.ts'
import { quantile, type Row, row } from './rows.ts'

const ROUNDS = 3
const SECONDS = 6

/** Signed pushes of 10 kB, each acknowledged once it is durable; the load comes from a process of its own. */
export async function webhook(bench: Bench): Promise<Row[]> {
  const { installation, say } = bench
  const service = await installation.service(0, say)
  const repository = await installation.repository('bench/webhook')
  const commit = await repository.commit('toolz\n')
  await installation.push(service, repository, commit)
  await using peer = await startPeer(join(installation.folder, 'peer-webhooks.db'))

  say(`Ours and peer: ${ROUNDS} times ${SECONDS} s of pushes each, in turn …`)
  const [ours, others]: [Load[], Load[]] = [[], []]
  const what = { name: repository.name, commit: commit.id }
  for (let round = 0; round < ROUNDS; round++) {
    others.push(await load({ ...what, url: peer.url, secret: peer.secret }))
    ours.push(await load({ ...what, url: `${service.url}/webhooks/github`, secret: service.webhookSecret }))
  }
  const middle = (loads: Load[], of: keyof Load) => quantile(loads.map((each) => each[of]))
  return [
    row('webhook', 'throughput', '1/s', middle(ours, 'perSecond'), middle(others, 'perSecond')),
    row('webhook', 'p50', 'ms', middle(ours, 'p50'), middle(others, 'p50')),
    row('webhook', 'p99', 'ms', middle(ours, 'p99'), middle(others, 'p99')),
  ]
}

/** What the load's process measured; times in milliseconds. */
export interface Load {
  perSecond: number
  p50: number
  p99: number
}

/** What the load's process is told. */
export interface LoadOrder {
  url: string
  secret: string
  name: string
  commit: string
  seconds: number
}

async function load(order: Omit<LoadOrder, 'seconds'>): Promise<Load> {
  const args = [join(import.meta.dirname, 'webhook-load.ts'), JSON.stringify({ ...order, seconds: SECONDS })]
  return JSON.parse(await runCommand(process.execPath, args, { timeout: 60_000 })) as Load
}

async function startPeer(file: string): Promise<{ url: string; secret: string } & AsyncDisposable> {
  const [port, secret] = [await freePort(), randomBytes(24).toString('hex')]
  const args = [join(import.meta.dirname, 'webhook-peer.ts'), JSON.stringify({ port, secret, file })]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], timeout: 10 * 60_000 })
  // It says a line once it listens.
  await Promise.race([once(createInterface(child.stdout), 'line'), once(child, 'exit')])
  if (child.exitCode !== null) throw new Error(`the peer ended with ${child.exitCode}`)
  const stop = async () => {
    if (child.pid !== undefined) await endProcess(child.pid, 10_000)
  }
  return { url: `http://127.0.0.1:${port}/`, secret, [Symbol.asyncDispose]: stop }
}
