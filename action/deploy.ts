import { Checkout } from '../client/deployment/checkout.ts'
import { prepareGitRepo } from '../client/deployment/git-repo.ts'
import { type MirroredRequest, prepareMirrorLocal } from '../client/deployment/mirror-local.ts'
import { cacheFolder } from '../client/deployment/piece-cache.ts'
import type { Service } from '../client/service.ts'
import { findCommit } from './commit.ts'
import type { WorkflowRun } from './event.ts'
import type { Inputs } from './inputs.ts'

interface DeployOptions {
  signal: AbortSignal
  say: (line: string) => void
}

/** Sends what the service lacks of the code that the inputs mean. Gives the part of a request that names it. */
export async function deploy(
  inputs: Inputs,
  job: WorkflowRun,
  service: Service,
  options: DeployOptions,
): Promise<Partial<MirroredRequest> & Pick<MirroredRequest, 'repository'>> {
  const mirrored = inputs.request.deployment === 'mirror_local'
  return mirrored ? await mirror(inputs, job, service, options) : await commit(inputs, job, service, options)
}

async function mirror(
  { repository, interpreter, extraPaths, request, serviceUrl }: Inputs,
  { workspace }: WorkflowRun,
  service: Service,
  { signal, say }: DeployOptions,
) {
  say(`Mirrors ${workspace} in the name of ${repository}, to ${serviceUrl.origin}`)
  const asked = {
    ...{ repository, interpreter, folder: workspace, extraPaths },
    workingDirectory: request['working-directory'],
    pythonVersion: request['python-version'],
  }
  return await prepareMirrorLocal(service, asked, {
    ...{ env: process.env, cache: cacheFolder(process.env), signal, say },
  })
}

async function commit(inputs: Inputs, job: WorkflowRun, service: Service, { signal, say }: DeployOptions) {
  const { repository, interpreter, serviceUrl } = inputs
  const checkout = new Checkout(job.workspace)
  const ask = async (ref: string) => (await service.commitOf(repository, ref)).commit
  const found = await findCommit(inputs, job, { checkout, ask, say })
  say(`Runs ${repository} at ${found.commit} on ${serviceUrl.origin}`)
  const options = { checkout, temporary: process.env.RUNNER_TEMP || undefined, signal, say }
  return await prepareGitRepo(service, { repository, interpreter, ...found }, options)
}
