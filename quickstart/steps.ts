import type { CacheAccount } from '../common/events.ts'
import type { Account } from './account.ts'
import { runAction } from './action.ts'
import { pushPayload, sendPush } from './push.ts'
import type { Commit, Sample } from './sample.ts'
import type { ServiceProcess } from './service.ts'
import type { Step } from './table.ts'

/** How the user's command went. */
export interface RunResult {
  exitCode: number
  /** From the request of the run until the first byte that its command printed, by the service's clock. */
  secondsToFirstByte: number
}

/** A signed push, until its image is on the node and a container waits for the run. */
export async function pushStep(
  name: Step['name'],
  service: ServiceProcess,
  account: Account,
  sample: Sample,
  commit: Commit,
): Promise<Step> {
  const [start, since] = [performance.now(), Date.now()]
  await sendPush(service, pushPayload(sample, commit))
  const { cache } = await account.awaitBuild(commit.id)
  await service.awaitStandby(cache.image, since)
  return { name, seconds: (performance.now() - start) / 1000, ...reuse(cache) }
}

/** The workflow's step, as a runner takes it. */
export async function runStep(
  name: Step['name'],
  service: ServiceProcess,
  account: Account,
  sample: Sample,
  commit: Commit,
): Promise<{ step: Step; result: RunResult }> {
  const { exitCode, outputs, seconds } = await runAction(service, sample, commit, process.stdout)
  const id = outputs['run-id']
  if (!id) throw new Error('The Action set no output run-id; see what it printed above.')
  const run = await account.run(id)
  let first: string | undefined
  let cache: CacheAccount | undefined
  for await (const { of, event } of account.events(id)) {
    if (event.kind === 'log' && of === id) first ??= event.time
    if (event.kind === 'cache') cache = event
  }
  if (!first || !cache) throw new Error(`The run ${id} printed nothing, or told nothing of its cache`)
  const secondsToFirstByte = (Date.parse(first) - Date.parse(run.created)) / 1000
  return { step: { name, seconds, ...reuse(cache) }, result: { exitCode, secondsToFirstByte } }
}

function reuse(cache: CacheAccount): Pick<Step, 'cache' | 'packagesNew' | 'bytesReused' | 'bytesTransferred'> {
  return {
    cache: cache.verdict,
    packagesNew: cache['packages-new'],
    bytesReused: cache['bytes-reused'],
    bytesTransferred: cache['bytes-transferred'],
  }
}
