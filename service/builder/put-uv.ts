import { Readable } from 'node:stream'
import { tarArchive } from '../../common/tar.ts'
import type { Container } from '../engine/engine.ts'
import type { BuilderContext } from './context.ts'
import { BUILDER_ENV } from './resolver-pool.ts'
import { STEP_FOLDER } from './step-spec.ts'

const FOLDER = `${STEP_FOLDER}/bin`
/** Where uv is after `putUv`. It is one file that needs no Python, but glibc. */
export const UV = `${FOLDER}/uv`

/** Copies uv out of the builder image into a container of any other. */
export async function putUv(
  context: BuilderContext,
  image: string,
  target: Container,
  signal: AbortSignal,
): Promise<void> {
  await context.pull(image, signal)
  const { memory, cpus, pids, disk } = context.limits
  const source = await context.engine.create({
    image,
    // It never runs.
    command: ['/bin/true'],
    env: {},
    labels: { 'run.meadow.node': context.node, 'run.meadow.step': 'copying uv' },
    network: 'none',
    ...{ memory, cpus, pids, disk },
  })
  try {
    const folders = [STEP_FOLDER, FOLDER].map((path) => path.slice(1))
    const empty = tarArchive(folders.map((path) => ({ path, type: 'directory', mode: 0o755, mtime: 0 })))
    await target.put(Readable.from([empty]), '/')
    await target.put(await source.get(`${BUILDER_ENV}/bin/uv`), FOLDER)
  } finally {
    await source.remove()
  }
}
