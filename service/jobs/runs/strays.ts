import type { Database } from '../../database/database.ts'
import { removeStandby, standbysOfNode } from '../../database/nodes.ts'
import { unfinishedRuns } from '../../database/runs.ts'
import type { Engine } from '../../engine/engine.ts'
import { NODE_LABEL } from '../../engine/standby.ts'

/**
 * Removes what an earlier process of this node left behind: standbys and builders, whose connections died with it.
 * Containers of runs that have not finished stay, to be taken up again.
 * @returns how many were removed
 * @throws {EngineUnavailable}
 */
export async function removeStrays(database: Database, engine: Engine, node: string): Promise<number> {
  const runs = await unfinishedRuns(database.state)
  const kept = new Set(runs.map(({ container }) => container))
  const strays = (await engine.find({ [NODE_LABEL]: node })).filter(({ id }) => !kept.has(id))
  for (const { id } of strays) await engine.container(id).remove()
  const standbys = await standbysOfNode(database.state, node)
  await database.write(async ({ db }) => {
    for (const { container } of standbys) await removeStandby(db, container)
  })
  return strays.length
}
