import type { Bench } from './bench.ts'
import { type Row, row } from './rows.ts'

/** The large environment, nothing of it known, to an image pulled on the node. */
export async function bake(bench: Bench): Promise<Row[]> {
  const { pushed } = await bench.baked()
  const peer = await bench.peerBake()
  return [row('bake', 'push to pulled', 's', pushed.seconds, peer.total)]
}
