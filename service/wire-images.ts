import { join } from 'node:path'
import { BUILDER_TOOLS, bootstrapWheels, CONDA_TOOLS, POETRY_TOOLS, type ToolList } from './builder/bootstrap.ts'
import { channelMirrors } from './builder/conda-channels.ts'
import { type BuilderOptions, builderContext, createBuilder } from './builder/containers.ts'
import type { EngineInfo, NetworkClass } from './engine/engine.ts'
import { createFetcher } from './fetch/fetcher.ts'
import { transcodePool } from './image/transcode-pool.ts'
import { DEFAULT_INDEX } from './interpreter/lock.ts'
import { CondaRepodata } from './jobs/environment/conda-repodata.ts'
import type { BaseParts } from './jobs/environment/ensure-base.ts'
import { lockWith } from './jobs/environment/ensure-lock.ts'
import type { EventWriter } from './jobs/events/event-writer.ts'
import { Journal } from './jobs/events/journal.ts'
import type { BringImage } from './jobs/images/bring-image.ts'
import { BuilderImage } from './jobs/images/builder-image.ts'
import { ImagePipeline } from './jobs/images/ensure-image.ts'
import { type ImageStore, imageRepository } from './jobs/images/image-store.ts'
import { layerIndex } from './jobs/images/layer-index.ts'
import { KeyedQueue } from './jobs/worker/keyed-queue.ts'
import { isOperatorBase } from './policy/bases.ts'
import { Bases } from './registry/bases.ts'
import { RegistryClient } from './registry/client.ts'
import { createGitDependencies } from './source/git-dependencies.ts'
import type { State } from './wire-state.ts'

/** Threads that transcode: as many as help beside the engine's own work. */
const TRANSCODERS = 2
/** Docker's first major version that reads zstd layers. */
const ZSTD_SINCE = 23

/** What the pipeline stands on besides what outlives a restart. */
export interface ImageSurroundings {
  info: EngineInfo
  /** What builders get. */
  network: NetworkClass
  events: EventWriter
  store: ImageStore
  bring: BringImage
}

/**
 * Puts together what makes images.
 * @param opened is given what is to be closed
 */
export function wireImages(
  { config, folder, database, blobs, registry, engine, authorities }: State,
  { info, network, events, store, bring }: ImageSurroundings,
  opened: AsyncDisposableStack,
): ImagePipeline {
  const work = join(config.data, 'work')
  const ca = authorities && { ca: authorities.text }
  const channels = Object.fromEntries(Object.entries(config.condaChannels).map(([name, { href }]) => [name, href]))
  const fetcher = createFetcher({
    allowedHosts: [config.indexUrl, ...Object.values(config.condaChannels)].flatMap((own) => own?.host ?? []),
    folder: work,
    mirrors: channelMirrors(channels),
    ...ca,
  })
  opened.defer(() => fetcher.close())
  const repodata = new CondaRepodata(fetcher, blobs, new KeyedQueue())
  const transcoder = transcodePool(TRANSCODERS)
  opened.defer(() => transcoder.close())
  const upstream = new RegistryClient({ url: config.baseRegistry, ...ca })
  const openRegistry = (host: string) => new RegistryClient({ url: new URL(`https://${host}`), guarded: true, ...ca })
  const bases = new Bases(registry, blobs, upstream, config.baseRegistry.host, openRegistry)
  const resolveBase: BaseParts['resolveBase'] = (name, signal, note) => bases.resolve(name, info.platform, signal, note)

  const index = config.indexUrl?.href ?? DEFAULT_INDEX
  const surroundings = {
    ...{ engine, node: folder.node, network, limits: config.build },
    pull: async (reference: string, signal: AbortSignal) => void (await bring(reference, { signal })),
    ...(authorities && { caBundle: authorities.text }),
    ...(config.indexUrl && { indexUrl: config.indexUrl.href }),
  } satisfies Partial<BuilderOptions>
  // The builder is baked by the pipeline that needs it: each is asked for only once both are there.
  const builder = createBuilder({
    ...surroundings,
    ...{ blobs, folder: work },
    image: () => builderImage.reference(),
    poetryImage: (told) => poetryImage.reference(told),
    condaImage: (told) => condaImage.reference(told),
    conda: { repodata: (...of) => repodata.of(...of), channels },
  })
  opened.defer(() => builder.close())

  const gitDependencies = createGitDependencies({
    ...{ blobs, gitUrl: config.gitUrl, caBundle: authorities?.file },
    folder: join(config.data, 'git-dependencies'),
  })
  const isPublicIndex = config.publicIndexes.includes(index.replace(/\/$/, ''))
  const isOperators = (name: string) => isOperatorBase(config.bases, name)
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
      isOperatorBase: isOperators,
      channels: JSON.stringify(channels),
      ground: (...of) => images.ground(...of),
    }),
    isPublic: (artifact) => isPublicIndex && artifact.index?.replace(/\/$/, '') === index.replace(/\/$/, ''),
    isOperatorBase: isOperators,
  })
  const toolImage = (tools: ToolList) =>
    new BuilderImage({
      ...{ database, blobs, builder, resolveBase, images, tools },
      folder: join(config.data, 'builder'),
      bootstrap: (...of) => bootstrapWheels(builderContext(surroundings), ...of),
      base: config.builderBase,
      journal: new Journal(events, `bld_${tools.name}`),
    })
  const builderImage: BuilderImage = toolImage(BUILDER_TOOLS)
  const poetryImage: BuilderImage = toolImage(POETRY_TOOLS)
  const condaImage: BuilderImage = toolImage(CONDA_TOOLS)
  return images
}
