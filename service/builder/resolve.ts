import { posix } from 'node:path'
import { DEFAULT_INDEX } from '../interpreter/lock.ts'
import { type IndexWish, type Resolve, type Resolved, ResolverRefused } from '../interpreter/resolution.ts'
import { hostIsPrivate } from '../policy/addresses.ts'
import type { ResolveOptions } from './builder.ts'
import type { CondaTool } from './conda.ts'
import type { BuilderContext } from './context.ts'
import { type FilesRequest, resolveAlone, type Target } from './resolve-alone.ts'
import type { PoolRequest, ResolverPool } from './resolver-pool.ts'
import { StagedSources } from './staged-sources.ts'
import { OVERRIDES, uvCompileArguments, uvExportArguments, uvUniversalArguments } from './uv.ts'

/** How uv says that nothing but a build would do. */
const NEEDS_BUILD = /building from source is disabled|Building source distributions(?: .*)? is disabled/

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
    if (staged?.hasArchives)
      return await chosen(await resolveAlone(parts, at, whole, { staged, builds: false }, options))
    const uv = uvCompileArguments(at.probe, { ...whole, builds: false })
    const resolved = await pool.ask({ ...about, files, arguments: uv }, options)
    return staged && staged.lock(resolved.text) !== resolved.text ? await chosen(resolved.text) : resolved
  } catch (error) {
    if (!needsBuild(error) || at.probe.libc.name !== 'glibc') throw error
  }
  options.report('no wheel of some package fits: building its metadata from source')
  const lock = await resolveAlone(parts, at, whole, { staged, builds: true }, options)
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
