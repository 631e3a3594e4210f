import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runCommand, type Say } from '../machine/command.ts'
import { ensureDocker } from '../machine/docker.ts'
import { ensurePackages } from '../machine/packages.ts'

/** The base image of the sample's environment. */
export const BASE = 'python:3.11-slim-bookworm'

const BASE_MINUTES = 30

/**
 * Sees that git, a Docker engine and a base image are there, and makes a folder for all that the quickstart writes.
 * @returns the folder; `data` in it is the service's
 * @throws {SetupImpossible} where something is missing that can't be set up here
 */
export async function prepareMachine(cleanup: AsyncDisposableStack, say: Say): Promise<string> {
  await ensurePackages(['git'], { say })
  const docker = await ensureDocker({ say })
  cleanup.defer(docker.stop)
  const folder = await mkdtemp(join(tmpdir(), 'meadow-quickstart-'))
  cleanup.defer(() => rm(folder, { recursive: true, force: true }))
  say(`Looking for the base image ${BASE} …`)
  await runCommand(process.execPath, [join(import.meta.dirname, '../machine/base-image.ts'), BASE], {
    env: { ...process.env, MEADOW_DATA: join(folder, 'data') },
    timeout: BASE_MINUTES * 60_000,
    onLine: (line) => say(`  ${line}`),
  })
  return folder
}
