import type { Bench } from './bench.ts'
import { requirements } from './environment.ts'
import { type Row, row } from './rows.ts'

/** The same from wheels whose layers another repository has made; the node has pulled none of them. */
export async function known(bench: Bench): Promise<Row[]> {
  const { installation, say } = bench
  await bench.baked()
  const service = await installation.service(0, say)
  await installation.forgetImages()
  const repository = await installation.repository('bench/second')
  say('Ours: the same for another repository …')
  const pushed = await installation.push(service, repository, await repository.commit(requirements()))
  say(`  ${pushed.seconds.toFixed(1)} s (${pushed.stages})`)
  const peer = await bench.peerBake()
  return [row('known', 'push to pulled', 's', pushed.seconds, peer.total)]
}
