import { spawn } from 'node:child_process'
import { once } from 'node:events'
import Docker from 'dockerode'
import { Account } from '../quickstart/account.ts'
import type { Bench } from './bench.ts'
import { quantile, type Row, row } from './rows.ts'

const ROUNDS = 50
const COMMAND = ['python', '-c', 'print("here")']

/** From the request of a run until the first byte of its output is with the caller, beside `docker run` of its image. */
export async function start(bench: Bench): Promise<Row[]> {
  const { installation, say } = bench
  const service = await installation.service(1, say)
  const repository = await installation.repository('bench/start')
  const commit = await repository.commit('rich\n')
  const { cache } = await installation.push(service, repository, commit)
  const image = await localName(cache.image)
  const account = await Account.open(service, repository.name)

  say(`Ours and peer: ${ROUNDS} starts of one image each, in turn …`)
  const [ours, peer]: [number[], number[]] = [[], []]
  let since = 0
  for (let round = 0; round < ROUNDS; round++) {
    if (round > 0 && !(await service.awaitStandby(cache.image, since))) throw new Error('no standby became ready')
    since = Date.now()
    ours.push(await firstByte(account, { repository: repository.name, commit: commit.id, args: COMMAND }))
    peer.push(await dockerRun(image))
  }
  return [
    row('start', 'p50', 'ms', quantile(ours) * 1000, quantile(peer) * 1000),
    row('start', 'p99', 'ms', quantile(ours, 0.99) * 1000, quantile(peer, 0.99) * 1000),
  ]
}

/** Seconds from the request of a run until the caller has the first byte that it printed. Waits for its end. */
async function firstByte(account: Account, request: Parameters<Account['submit']>[0]): Promise<number> {
  const start = performance.now()
  let seconds: number | undefined
  const id = await account.submit(request)
  for await (const { of, event } of account.events(id))
    if (event.kind === 'log' && of === id) seconds ??= (performance.now() - start) / 1000
  if (seconds === undefined) throw new Error('a run printed nothing')
  return seconds
}

/** Seconds from calling the docker client until the container's first byte is there. */
async function dockerRun(image: string): Promise<number> {
  const start = performance.now()
  const child = spawn('docker', ['run', '--rm', image, ...COMMAND], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: 60_000,
  })
  const closed = once(child, 'close')
  await Promise.race([once(child.stdout, 'data'), closed])
  const seconds = (performance.now() - start) / 1000
  const [code] = await closed
  if (code !== 0) throw new Error(`docker run ended with ${code}`)
  return seconds
}

/** How the engine knows the image that the service made, by a standby of it. */
async function localName(digest: string): Promise<string> {
  const filters = { label: [`run.meadow.image=${digest}`] }
  const [standby] = await new Docker({ timeout: 60_000 }).listContainers({ all: true, filters })
  if (!standby) throw new Error(`there is no container of ${digest}`)
  return standby.Image
}
