import { posix } from 'node:path'
import { Readable } from 'node:stream'
import type { BaseImage } from '../image/base.ts'
import { DEFAULT_INDEX } from '../interpreter/lock.ts'
import type { InstalledPackage, Probe } from '../interpreter/probe.ts'
import {
  type IndexWish,
  type Resolve,
  type Resolved,
  type ResolveRequest,
  ResolverRefused,
} from '../interpreter/resolution.ts'
import type { EnvironmentFiles } from '../interpreter/spec.ts'
import { hostIsPrivate } from '../policy/addresses.ts'
import type { ResolveOptions } from './builder.ts'
import type { CondaTool } from './conda.ts'
import type { BuilderContext } from './context.ts'
import { putUv, UV } from './put-uv.ts'
import { pythonSource } from './python-source.ts'
import { BUILDER_ENV, type PoolRequest, type ResolverPool } from './resolver-pool.ts'
import { StagedSources } from './staged-sources.ts'
import { Step, StepFailed } from './step.ts'
import { STEP_FOLDER, textsTar } from './step-spec.ts'
import { OVERRIDES, UV_CONFIG, uvCompileArguments, uvConfig, uvExportArguments, uvUniversalArguments } from './uv.ts'

/** How uv says that nothing but a build would do. */
const NEEDS_BUILD = /building from source is disabled|Building source distributions(?: .*)? is disabled/
/** Bytes; a lock of a thousand packages has less than a tenth of it. */
const MOST_LOCK = 64 * 2 ** 20
const FOLDER = `${STEP_FOLDER}/requirements`
const URL_IN_FOLDER = new RegExp(`url = "file://${FOLDER}/([^"]*)"`, 'g')

const INSTALLED = `${STEP_FOLDER}/installed.json`

/** What a lock is made for. */
interface Target {
  base: BaseImage
  probe: Probe
  installed: InstalledPackage[]
}

type FilesRequest = Extract<ResolveRequest, { path: string }>

interface ResolverParts {
  context: BuilderContext
  pool: ResolverPool
  poetry: ResolverPool
  conda: CondaTool
  /** Gives the builder image. */
  image: () => Promise<string>
}

/**
 * How locks are made for one base and its probe.
 * @param target what of the base's packages shows in the environment is `installed`, and no part of a lock
 */
export function resolverFor(parts: ResolverParts, target: Target, options: ResolveOptions): Resolve {
  const { probe, installed } = target
  const { pool, poetry, conda, context } = parts
  return async (request) => {
    const about = {
      ...{ markers: probe.markers, tags: probe.tags, hashes: request.hashes ?? null },
      ...(installed.length > 0 && { installed }),
    }
    if ('lock' in request) {
      const { lock, folder, extras, groups, withoutGroups } = request
      return await pool.ask({ ...about, lock, folder, extras, groups, withoutGroups }, options)
    }
    if ('uvLock' in request) {
      const { files, uvLock } = request
      return await pool.ask({ ...about, files, arguments: uvExportArguments(uvLock, request), uvLock }, options)
    }
    if ('conda' in request) return await conda.solve(request.conda, options)
    if ('poetry' in request) {
      const { indexUrl } = context
      const project = { ...request.poetry, python: probe.version, ...(indexUrl !== undefined && { index: indexUrl }) }
      const { text } = await poetry.ask(project, options)
      return await pool.ask({ ...about, index: indexUrl ?? DEFAULT_INDEX, lock: text }, options)
    }
    return await resolveFiles(parts, target, request, about, options)
  }
}

/** Resolves what names releases: without building anything where that gives an answer. */
async function resolveFiles(
  parts: ResolverParts,
  at: Target,
  request: FilesRequest,
  target: Pick<PoolRequest, 'markers' | 'tags' | 'hashes' | 'installed'>,
  options: ResolveOptions,
): Promise<Resolved> {
  const { context, pool } = parts
  const { indexUrl } = context
  const index = indexOf(request.indexes, indexUrl)
  const about = { ...target, ...(index !== undefined && { index }), ...projectOf(request) }
  const staged = request.sources && (await StagedSources.open(request.sources, request.files, options))
  const files = { ...request.files, ...staged?.files }
  const whole = { ...request, files, overrides: OVERRIDES in files }
  const chosen = async (text: string, more: Pick<PoolRequest, 'universal'> = {}) =>
    await pool.ask({ ...about, ...more, lock: staged?.lock(text) ?? text }, options)
  try {
    if (staged?.hasArchives) return await chosen(await resolveIn(parts, at, whole, { staged, builds: false }, options))
    const uv = uvCompileArguments(at.probe, { ...whole, builds: false })
    const resolved = await pool.ask({ ...about, files, arguments: uv }, options)
    return staged && staged.lock(resolved.text) !== resolved.text ? await chosen(resolved.text) : resolved
  } catch (error) {
    if (!needsBuild(error) || at.probe.libc.name !== 'glibc') throw error
  }
  options.report('no wheel of some package fits: building its metadata from source')
  const lock = await resolveIn(parts, at, whole, { staged, builds: true }, options)
  return await chosen(lock, { universal: uvUniversalArguments(at.probe) })
}

/**
 * The index that files came from, where that is known: uv's lock does not say it.
 * @throws {ResolverRefused} for one that is not to be asked
 */
function indexOf(wish: IndexWish | undefined, configured: string | undefined): string | undefined {
  for (const url of [wish?.index, ...(wish?.extra ?? [])]) {
    if (url === undefined || (configured !== undefined && new URL(url).host === new URL(configured).host)) continue
    const { protocol, host, hostname } = new URL(url)
    const hint =
      'Name an index that everybody can reach by https:; another one is a setting of the service (MEADOW_INDEX_URL).'
    if (protocol !== 'https:')
      throw new ResolverRefused('index', `the index at ${host} is not one of https:`, undefined, { hint })
    if (hostIsPrivate(hostname))
      throw new ResolverRefused('index', `the index at ${host} is private`, undefined, { hint })
  }
  if (wish?.none || (wish && wish.extra.length > 0)) return undefined
  return wish?.index ?? configured ?? DEFAULT_INDEX
}

/** The project that its own lock is to install. */
function projectOf({ path, project }: FilesRequest): Pick<PoolRequest, 'project'> {
  if (project?.installed === undefined) return {}
  return { project: { name: project.installed, folder: posix.dirname(path) } }
}

/** Where no wheel fits, or the user's hashes are of an sdist. */
function needsBuild(error: unknown): boolean {
  if (!(error instanceof ResolverRefused)) return false
  return error.step === 'uv'
    ? NEEDS_BUILD.test(error.message)
    : error.step === 'hash' && error.message.startsWith('no file')
}

/**
 * Runs the resolver in a container of its own: where it builds, in the base, whose Python build backends are meant for
 * (code of packages runs there); else beside the others, with files that are no text.
 */
async function resolveIn(
  { context, image }: ResolverParts,
  { base, probe, installed }: Target,
  { files, ...request }: FilesRequest & { overrides: boolean },
  { staged, builds }: { staged: StagedSources | undefined; builds: boolean },
  options: ResolveOptions,
): Promise<string> {
  const uv = uvCompileArguments(probe, { ...request, builds })
  const builder = await image()
  const [program, python] = builds
    ? ([UV, probe.executable] as const)
    : ([`${BUILDER_ENV}/bin/uv`, `${BUILDER_ENV}/bin/python3`] as const)
  const withImage = installed.length === 0 ? [] : [python, '-I', '-c', pythonSource('image_packages'), INSTALLED]
  await using step = await Step.open(
    context,
    {
      name: builds ? 'resolving with builds' : 'resolving with local files',
      image: builds ? base.reference : builder,
      command: [...withImage, program, '--directory', FOLDER, ...uv, '--python', python],
      user: '0:0',
      env: { UV_CACHE_DIR: '/tmp/uv', SOURCE_DATE_EPOCH: '946684800', ...(builds ? staged?.versions : {}) },
      network: context.network,
      watchDisk: true,
      files: {
        [UV_CONFIG]: uvConfig(context.indexUrl),
        [INSTALLED]: JSON.stringify(installed),
        ...inFolder(files),
      },
    },
    options,
  )
  if (builds) await putUv(context, builder, step.container, options.signal)
  if (staged) {
    for await (const tar of staged.tars(builds)) await step.container.put(tar, FOLDER)
    // The code has these files too, as they are written.
    await step.container.put(Readable.from([textsTar(inFolder(files))]), '/')
  }
  await step.start()
  step.stdin.end()
  const lock = await step.text(MOST_LOCK)
  try {
    await step.finish()
  } catch (error) {
    if (error instanceof StepFailed) throw new ResolverRefused('uv', error.log.replaceAll(`${FOLDER}/`, ''))
    throw error
  }
  return insideFolder(lock)
}

/** A lock by uv without the folder that it was made in: some of its paths are absolute, some are URLs. */
function insideFolder(lock: string): string {
  return lock
    .replace(URL_IN_FOLDER, (_, path: string) => `path = "${decodeURIComponent(path)}"`)
    .replaceAll(`path = "${FOLDER}"`, 'path = "."')
    .replaceAll(`path = "${FOLDER}/`, 'path = "')
}

function inFolder(files: EnvironmentFiles): Record<string, string> {
  return Object.fromEntries(Object.entries(files).map(([name, content]) => [`${FOLDER}/${name}`, content]))
}
