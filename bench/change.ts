import type { Bench } from './bench.ts'
import { requirements, SMALL_VERSIONS } from './environment.ts'
import { quantile, type Row, row } from './rows.ts'

/** One small package changed: from the push to a container that waits for a run. */
export async function change(bench: Bench): Promise<Row[]> {
  const { installation, say } = bench
  const { repository } = await bench.baked()
  const service = await installation.service(1, say)
  const seconds: number[] = []
  for (const version of SMALL_VERSIONS.slice(1)) {
    const pushed = await installation.push(service, repository, await repository.commit(requirements(version)))
    say(`Ours: requests ${version}: ${pushed.seconds.toFixed(2)} s (${pushed.stages})`)
    seconds.push(pushed.seconds)
  }
  const peer = await bench.peerChange()
  return [
    row('change', 'push to ready', 's', quantile(seconds), peer.total),
    row('change', 'push to ready, worst', 's', Math.max(...seconds), peer.total),
  ]
}
