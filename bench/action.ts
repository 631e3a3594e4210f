import { execFile } from 'node:child_process'
import { stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { promisify } from 'node:util'
import { Account } from '../quickstart/account.ts'
import { runAction } from '../quickstart/action.ts'
import { createSample } from '../quickstart/sample.ts'
import type { Bench } from './bench.ts'
import { quantile, type Row, row } from './rows.ts'

const ROUNDS = 10

/** The Action's own time: from its start until the run is submitted, and from the run's end until its process is gone. */
export async function action(bench: Bench): Promise<Row[]> {
  const { installation, say } = bench
  const service = await installation.service(1, say)
  const { sample, commit } = await createSample(join(installation.folder, 'git'))
  await installation.push(service, sample, commit)
  const account = await Account.open(service, sample.name)
  const empty = join(installation.folder, 'empty.cjs')
  await writeFile(empty, '')

  say(`Ours and peer: ${ROUNDS} times the Action and an empty script, in turn …`)
  const [ours, peer]: [number[], number[]] = [[], []]
  for (let round = 0; round < ROUNDS; round++) {
    ours.push(await ownSeconds(account, await runAction(service, sample, commit, nowhere())))
    const start = performance.now()
    await promisify(execFile)(process.execPath, [empty], { timeout: 60_000 })
    peer.push((performance.now() - start) / 1000)
  }
  const { size } = await stat(join(import.meta.dirname, '../dist/main.cjs'))
  return [
    row('action', 'own time', 'ms', quantile(ours) * 1000, quantile(peer) * 1000),
    row('action', 'bundle', 'kB', size / 1000),
  ]
}

async function ownSeconds(
  account: Account,
  { begun, seconds, exitCode, outputs }: Awaited<ReturnType<typeof runAction>>,
) {
  const run = await account.run(outputs['run-id'] ?? '')
  if (exitCode !== 0 || !run.finished) throw new Error(`The Action ended with ${exitCode}, its run is ${run.state}`)
  const toSubmit = Date.parse(run.created) - begun
  const fromEnd = begun + seconds * 1000 - Date.parse(run.finished)
  return (toSubmit + fromEnd) / 1000
}

function nowhere(): Writable {
  return new Writable({ write: (_chunk, _encoding, done) => done() })
}
