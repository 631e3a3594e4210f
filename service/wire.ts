import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createServer } from './api/server.ts'
import type { Blobs } from './blobs/blobs.ts'
import { openFileBlobs } from './blobs/files.ts'
import { BUILDER_TOOLS, bootstrapWheels, CONDA_TOOLS, POETRY_TOOLS, type ToolList } from './builder/bootstrap.ts'
import { builderContext, createBuilder } from './builder/containers.ts'
import type { Config } from './config.ts'
import { type DataFolder, openDataFolder } from './data-folder.ts'
import { claimFolder } from './database/claim-folder.ts'
import type { Database } from './database/database.ts'
import { releaseOwner } from './database/jobs.ts'
import { openSqlite } from './database/sqlite.ts'
import { dockerEngine } from './engine/docker.ts'
import { type Engine, type EngineInfo, EngineUnavailable } from './engine/engine.ts'
import { effectiveNetwork } from './engine/network-class.ts'
import { createFetcher } from './fetch/fetcher.ts'
import { transcodePool } from './image/transcode-pool.ts'
import { DEFAULT_INDEX } from './interpreter/lock.ts'
import { buildHandler } from './jobs/build.ts'
import { CondaRepodata } from './jobs/environment/conda-repodata.ts'
import type { BaseParts } from './jobs/environment/ensure-base.ts'
import { lockWith } from './jobs/environment/ensure-lock.ts'
import { createEventWriter } from './jobs/events/event-writer.ts'
import { Journal } from './jobs/events/journal.ts'
import { bringImageWith } from './jobs/images/bring-image.ts'
import { BuilderImage } from './jobs/images/builder-image.ts'
import { ImagePipeline } from './jobs/images/ensure-image.ts'
import { ImageStore, imageRepository } from './jobs/images/image-store.ts'
import { layerIndex } from './jobs/images/layer-index.ts'
import { prebuildHandler } from './jobs/prebuild.ts'
import { runHandler } from './jobs/run.ts'
import { Admission } from './jobs/runs/admission.ts'
import { keepHouse } from './jobs/runs/housekeeping.ts'
import { StandbyPool } from './jobs/runs/standby-pool.ts'
import { removeStrays } from './jobs/runs/strays.ts'
import { Wishes } from './jobs/runs/wishes.ts'
import { isRetryable } from './jobs/worker/failure.ts'
import { KeyedQueue } from './jobs/worker/keyed-queue.ts'
import { startWorker } from './jobs/worker/worker.ts'
import { isOperatorBase } from './policy/bases.ts'
import { Bases } from './registry/bases.ts'
import { RegistryClient } from './registry/client.ts'
import { EmbeddedRegistry } from './registry/embedded.ts'
import { SecretMask } from './secrets/mask.ts'
import { createGitDependencies } from './source/git-dependencies.ts'
import { createSource, type Source } from './source/source.ts'

/** A running service. */
export interface Service {
  /** Takes nothing new, lets what runs end for so long (milliseconds), hands the rest back, closes. */
  stop(graceMs: number): Promise<void>
}

export type Log = (line: string) => void

/** Threads that transcode: as many as help beside the engine's own work. */
const TRANSCODERS = 2
const BUILDS_AT_ONCE = 2
const PREBUILDS_AT_ONCE = 8
/** The largest bundle that is taken, in bytes. */
const MOST_UPLOAD_BYTES = 4 * 2 ** 30
/** Between two attempts to reach the engine, in milliseconds. */
const ENGINE_EVERY_MS = 2000
/** Docker's first major version that reads zstd layers. */
const ZSTD_SINCE = 23

/** What outlives a restart, and who asks for it. */
interface State {
  config: Config
  folder: DataFolder
  database: Database
  blobs: Blobs
  registry: EmbeddedRegistry
  source: Source
  engine: Engine
  credential: { username: string; password: string }
  /** Further authorities, PEM. */
  ca: { ca?: string }
  log: Log
}

/** Puts the service together and starts it. The only place that constructs its parts. */
export async function startService(config: Config, log: Log): Promise<Service> {
  await using opened = new AsyncDisposableStack()
  opened.defer(claimFolder(config.data))
  const folder = await openDataFolder(config.data)
  const database = openSqlite(config.data)
  opened.defer(() => database.close())
  const blobs = await openFileBlobs(join(config.data, 'blobs'))
  const engine = dockerEngine({ socketPath: config.engineSocket })
  opened.defer(() => engine.close())
  let port = config.listen.port
  const registry = new EmbeddedRegistry(database, blobs, () => `${nodeHost(config.listen.host)}:${port}`)
  const credential = { username: 'node', password: folder.pullPassword }
  const ca = config.caBundle === undefined ? {} : { ca: await readFile(config.caBundle, 'utf8') }
  const checkout = { folder: join(config.data, 'git'), gitUrl: config.gitUrl, caBundle: config.caBundle }
  // A lock file's URLs must not reach the git host: this one is for the git host's own files.
  const gitFetcher = createFetcher({ allowedHosts: [config.gitUrl.host], folder: join(config.data, 'work'), ...ca })
  opened.defer(() => gitFetcher.close())
  const source = createSource({ database, blobs, checkout, fetcher: gitFetcher })
  const state: State = { config, folder, database, blobs, registry, source, engine, credential, ca, log }

  const halt = new AbortController()
  const working = Promise.withResolvers<Service>()
  let notReady = 'the container engine was not asked yet'
  const server = createServer({
    ...{ database, blobs, registry, source, credential, log },
    listen: config.listen,
    ...(config.listenPublic && { listenPublic: config.listenPublic }),
    ...(config.publicUrl && { publicUrl: config.publicUrl }),
    webhookSecret: config.webhookSecret ?? folder.webhookSecret,
    tokens: config.tokens ?? [{ name: 'default', secret: folder.token, repositories: ['*'], permissions: ['run'] }],
    maxUploadBytes: MOST_UPLOAD_BYTES,
    ready: async () => {
      if (notReady !== '') throw new Error(notReady)
      await engine.info()
    },
  })
  port = await server.listen()
  opened.defer(() => server.close())
  log(`listening on http://${nodeHost(config.listen.host)}:${port}`)
  sayOnce(config, folder, log)

  const work = async () => {
    const info = await reachEngine(engine, halt.signal, (why) => {
      notReady = why
      log(`waiting for the container engine: ${why}`)
    })
    working.resolve(await startWork(state, info))
    notReady = ''
  }
  const begun = work().catch((error: unknown) => {
    if (!halt.signal.aborted) log(`the service cannot work: ${error instanceof Error ? error.stack : error}`)
    notReady = String(error)
    working.resolve({ stop: async () => {} })
  })
  const closing = opened.move()
  return {
    stop: async (graceMs) => {
      halt.abort(new Error('the service stops'))
      await begun
      await (await working.promise).stop(graceMs)
      await closing.disposeAsync()
    },
  }
}

/** The part that works: everything that needs the engine. */
async function startWork(
  { config, folder, database, blobs, registry, source, engine, credential, ca, log }: State,
  info: EngineInfo,
): Promise<Service> {
  await using opened = new AsyncDisposableStack()
  const { node } = folder
  const strays = await removeStrays(database, engine, node)
  if (strays > 0) log(`removed ${strays} containers that an earlier process left behind`)
  const handedOver = await database.write(({ db }) => releaseOwner(db, node))
  if (handedOver > 0) log(`${handedOver} jobs of an earlier process go on`)

  const report = (message: string, error: unknown) =>
    log(`${message}: ${error instanceof Error ? error.message : error}`)
  const mask = new SecretMask()
  const { token, webhookSecret, pullPassword } = folder
  for (const { secret } of config.tokens ?? []) mask.add(secret)
  for (const secret of [token, config.webhookSecret ?? webhookSecret, pullPassword]) mask.add(secret)
  const events = createEventWriter({ database, mask, report })
  opened.defer(() => events.close())
  const work = join(config.data, 'work')
  const fetcher = createFetcher({
    allowedHosts: [config.indexUrl, ...Object.values(config.condaChannels)].flatMap((own) => own?.host ?? []),
    folder: work,
    ...ca,
  })
  opened.defer(() => fetcher.close())
  const repodata = new CondaRepodata(fetcher, blobs, new KeyedQueue())
  const condaChannels = Object.fromEntries(Object.entries(config.condaChannels).map(([name, { href }]) => [name, href]))
  const transcoder = transcodePool(TRANSCODERS)
  opened.defer(() => transcoder.close())
  const upstream = new RegistryClient({ url: config.baseRegistry, ...ca })
  const openRegistry = (host: string) => new RegistryClient({ url: new URL(`https://${host}`), guarded: true, ...ca })
  const bases = new Bases(registry, blobs, upstream, config.baseRegistry.host, openRegistry)
  const resolveBase: BaseParts['resolveBase'] = (name, signal, note) => bases.resolve(name, info.platform, signal, note)

  const networks = info.networks
  const { network, warning } = effectiveNetwork('internet', true, networks)
  if (warning !== undefined) log(`warning: ${warning}`)
  const index = config.indexUrl?.href ?? DEFAULT_INDEX
  const bring = bringImageWith(engine, credential)
  const builderOptions = {
    ...{ engine, node, network, limits: config.build },
    pull: async (reference: string, signal: AbortSignal) => void (await bring(reference, { signal })),
    ...(ca.ca !== undefined && { caBundle: ca.ca }),
    ...(config.indexUrl && { indexUrl: config.indexUrl.href }),
  }
  // The builder is baked by the pipeline that needs it: each is asked for only once both are there.
  const builder = createBuilder({
    ...builderOptions,
    ...{ blobs, folder: work },
    image: () => builderImage.reference(),
    poetryImage: (told) => poetryImage.reference(told),
    condaImage: (told) => condaImage.reference(told),
    conda: { repodata: (...of) => repodata.of(...of), channels: condaChannels },
  })
  opened.defer(() => builder.close())

  const gitDependencies = createGitDependencies({
    ...{ blobs, gitUrl: config.gitUrl, caBundle: config.caBundle },
    folder: join(config.data, 'git-dependencies'),
  })
  const isPublicIndex = config.publicIndexes.includes(index.replace(/\/$/, ''))
  const store = new ImageStore(database, blobs, registry)
  const images = new ImagePipeline({
    ...{ database, blobs, builder, fetcher, gitDependencies, transcoder, store, bring },
    removeImage: (reference) => engine.removeImage(reference),
    zstd: Number.parseInt(info.version, 10) >= ZSTD_SINCE,
    folder: work,
    queue: new KeyedQueue(),
    layers: layerIndex(database),
    seed: () => builderImage.seed(),
    lock: lockWith({
      ...{ database, blobs, builder, fetcher, gitDependencies, resolveBase, bases: config.bases, index },
      extendBase: (base, layer, home) => bases.extend(base, layer, imageRepository(home)),
      isOperatorBase: (name) => isOperatorBase(config.bases, name),
      channels: JSON.stringify(condaChannels),
      ground: (...of) => images.ground(...of),
    }),
    isPublic: (artifact) => isPublicIndex && artifact.index?.replace(/\/$/, '') === index.replace(/\/$/, ''),
    isOperatorBase: (name) => isOperatorBase(config.bases, name),
  })
  const toolImage = (tools: ToolList) =>
    new BuilderImage({
      ...{ database, blobs, builder, resolveBase, images, tools },
      folder: join(config.data, 'builder'),
      bootstrap: (...of) => bootstrapWheels(builderContext(builderOptions), ...of),
      base: config.builderBase,
      journal: new Journal(events, `bld_${tools.name}`),
    })
  const builderImage: BuilderImage = toolImage(BUILDER_TOOLS)
  const poetryImage: BuilderImage = toolImage(POETRY_TOOLS)
  const condaImage: BuilderImage = toolImage(CONDA_TOOLS)

  const standbys = new StandbyPool({ database, blobs, engine, bring, node, limits: config.standby, log })
  opened.defer(() => standbys.close())
  const wishes = new Wishes(database, store, config.run, networks)
  const admission = new Admission(config.node)
  opened.defer(keepHouse({ database, node, admission, report }))
  const worker = startWorker({
    ...{ database, owner: node, isRetryable, report },
    handlers: {
      prebuild: prebuildHandler({ database, events, source, standbys, wishes, log }, PREBUILDS_AT_ONCE),
      build: buildHandler({ database, events, source, blobs, images }, BUILDS_AT_ONCE),
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

/** Waits for the engine for as long as it takes. */
async function reachEngine(engine: Engine, signal: AbortSignal, waiting: (why: string) => void): Promise<EngineInfo> {
  for (;;) {
    signal.throwIfAborted()
    try {
      return await engine.info()
    } catch (error) {
      if (!(error instanceof EngineUnavailable)) throw error
      waiting(error.message)
    }
    await sleep(ENGINE_EVERY_MS, undefined, { signal })
  }
}

/** Secrets that were made just now are shown once; later they are only in their files. */
function sayOnce({ tokens, webhookSecret }: Config, { path, made, ...secrets }: DataFolder, log: Log): void {
  if (tokens === undefined && made.has('token')) log(`token: ${secrets.token} (kept in ${join(path, 'token')})`)
  if (webhookSecret === undefined && made.has('webhook-secret')) {
    log(`webhook secret: ${secrets.webhookSecret} (kept in ${join(path, 'webhook-secret')})`)
  }
}

/** How this machine's own engine reaches a listener. */
function nodeHost(host: string): string {
  return ['0.0.0.0', '::', 'localhost'].includes(host) ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host
}
