import { releaseOwner } from './database/jobs.ts'
import type { EngineInfo } from './engine/engine.ts'
import { effectiveNetwork } from './engine/network-class.ts'
import { condaPlatform } from './interpreter/conda.ts'
import { buildHandler } from './jobs/build.ts'
import { createEventWriter } from './jobs/events/event-writer.ts'
import { bringImageWith } from './jobs/images/bring-image.ts'
import { keepClean } from './jobs/images/clean-up.ts'
import { ImageStore } from './jobs/images/image-store.ts'
import { prebuildHandler } from './jobs/prebuild.ts'
import { runHandler } from './jobs/run.ts'
import { Admission } from './jobs/runs/admission.ts'
import { keepHouse } from './jobs/runs/housekeeping.ts'
import { StandbyPool } from './jobs/runs/standby-pool.ts'
import { removeStrays } from './jobs/runs/strays.ts'
import { Wishes } from './jobs/runs/wishes.ts'
import { isRetryable } from './jobs/worker/failure.ts'
import { startWorker } from './jobs/worker/worker.ts'
import { SecretMask } from './secrets/mask.ts'
import { wireImages } from './wire-images.ts'
import type { State } from './wire-state.ts'

const BUILDS_AT_ONCE = 2
const PREBUILDS_AT_ONCE = 8

/** What runs, and can be stopped. */
export interface Service {
  /** Takes nothing new, lets what runs end for so long (milliseconds), hands the rest back, closes. */
  stop(graceMs: number): Promise<void>
}

/** Puts together and starts the part that works: everything that needs the engine. */
export async function startWork(state: State, info: EngineInfo): Promise<Service> {
  const { config, folder, database, blobs, registry, source, engine, credential, log } = state
  await using opened = new AsyncDisposableStack()
  const { node } = folder
  const strays = await removeStrays(database, engine, node)
  if (strays > 0) log(`removed ${strays} containers that an earlier process left behind`)
  const handedOver = await database.write(({ db }) => releaseOwner(db, node))
  if (handedOver > 0) log(`${handedOver} jobs of an earlier process go on`)

  const report = (message: string, error: unknown) =>
    log(`${message}: ${error instanceof Error ? error.message : error}`)
  const events = createEventWriter({ database, mask: maskOf(state), report })
  opened.defer(() => events.close())
  const { networks } = info
  const platform = condaPlatform(info.platform)
  const { network, warning } = effectiveNetwork('internet', true, networks)
  if (warning !== undefined) log(`warning: ${warning}`)
  const bring = bringImageWith(engine, credential)
  const store = new ImageStore(database, blobs, registry)
  const images = wireImages(state, { info, network, events, store, bring }, opened)

  const standbys = new StandbyPool({ database, blobs, engine, bring, node, limits: config.standby, log })
  opened.defer(() => standbys.close())
  const wishes = new Wishes(database, store, config.run, networks)
  const admission = new Admission(config.node)
  opened.defer(keepHouse({ database, node, admission, report }))
  const cleaning = keepClean({
    ...{ database, blobs, registry, log },
    removeImage: (reference) => engine.removeImage(reference),
    lifetime: config.imageLifetime,
  })
  opened.defer(cleaning)
  const worker = startWorker({
    ...{ database, owner: node, isRetryable, report },
    handlers: {
      prebuild: prebuildHandler({ database, events, source, standbys, wishes, log, platform }, PREBUILDS_AT_ONCE),
      build: buildHandler({ database, events, source, blobs, images, platform }, BUILDS_AT_ONCE),
      run: runHandler({
        ...{ database, events, source, engine, standbys, wishes, node, log },
        admission,
        timeout: config.run.timeout,
        disk: config.run.disk,
      }),
    },
  })
  log('ready for work')
  const closing = opened.move()
  return {
    stop: async (graceMs) => {
      await worker.stop(graceMs)
      await closing.disposeAsync()
    },
  }
}

/** The service's own secrets are in no event. */
function maskOf({ config, folder }: State): SecretMask {
  const mask = new SecretMask()
  const { token, webhookSecret, pullPassword } = folder
  for (const { secret } of config.tokens ?? []) mask.add(secret)
  for (const secret of [token, config.webhookSecret ?? webhookSecret, pullPassword]) mask.add(secret)
  return mask
}
