import type { Bench } from './bench.ts'
import { PYPROJECT, SMALL_PYPROJECT } from './environment.ts'
import { POETRY, type Recipe, UV } from './recipes.ts'
import { type Row, row } from './rows.ts'

/** A project of uv, nothing of it known, from its push to an image pulled on the node. */
export function uv(bench: Bench): Promise<Row[]> {
  return lockedProject(bench, UV, 'uv.lock')
}

/** A project of poetry, likewise. */
export function poetry(bench: Bench): Promise<Row[]> {
  return lockedProject(bench, POETRY, 'poetry.lock')
}

/** A project of about sixty packages with the lock of its own tool, beside that tool in `docker build`. */
async function lockedProject(bench: Bench, recipe: Recipe, lockFile: string): Promise<Row[]> {
  const { say } = bench
  const peer = await bench.peer()
  const filesOf = async (pyproject: string) => ({
    'pyproject.toml': pyproject,
    [lockFile]: await peer.lock(recipe, pyproject, lockFile),
  })
  const files = await filesOf(PYPROJECT)
  const installation = await bench.coldInstallation()
  const service = await installation.service(0, say)
  // What reads such projects is there on both sides.
  const small = await installation.repository(`bench/small-${recipe.name}`)
  await installation.push(service, small, await small.commit(await filesOf(SMALL_PYPROJECT)))
  const repository = await installation.repository(`bench/${recipe.name}`)
  say(`Ours: a project of ${recipe.name}, nothing known …`)
  const { seconds, stages, cache } = await installation.push(service, repository, await repository.commit(files))
  say(`  ${seconds.toFixed(1)} s for ${cache.packages.length} packages (${stages})`)
  await installation.stop()
  await installation.forgetImages()
  const usual = await bench.usualWay(recipe, files)
  return [row(recipe.name, 'push to pulled', 's', seconds, usual.total)]
}
