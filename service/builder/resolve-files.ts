import { posix } from 'node:path'
import { type FilesRequest, type Resolved, ResolverRefused } from '../interpreter/resolution.ts'
import type { BuilderContext } from './context.ts'
import { checkIndexes, indexOf, lookups } from './indexes.ts'
import type { ResolveOptions } from './options.ts'
import { resolveAlone, type Target } from './resolve-alone.ts'
import type { PoolRequest, ResolverPool } from './resolver-pool.ts'
import { StagedSources } from './staged-sources.ts'
import { NEEDS_BUILD, OVERRIDES, PROJECT_CONFIG, uvCompileArguments, uvProjectConfig } from './uv.ts'
import { tablesOf } from './uv-project.ts'

interface FilesParts {
  context: BuilderContext
  pool: ResolverPool
  /** Gives the builder image. */
  image: () => Promise<string>
}

/**
 * Resolves requirements files or a pyproject.toml.
 * @throws {ResolverRefused} in terms of what they name
 */
export async function resolveFiles(
  parts: FilesParts,
  at: Target,
  request: FilesRequest,
  target: Pick<PoolRequest, 'markers' | 'tags' | 'hashes' | 'installed'>,
  options: ResolveOptions,
): Promise<Resolved> {
  checkIndexes(namedIndexes(request), parts.context.indexUrl)
  const staged = request.sources && (await StagedSources.open(request, request.sources, options))
  try {
    return await resolveStaged(parts, at, { request, staged, target }, options)
  } catch (error) {
    if (!(error instanceof ResolverRefused) || staged === undefined) throw error
    const { step, message, package: name, hint } = error
    throw new ResolverRefused(step, staged.explain(message), name, hint === undefined ? {} : { hint })
  }
}

/** Without building anything where what is needed says by itself what it needs. */
async function resolveStaged(
  parts: FilesParts,
  at: Target,
  {
    request,
    staged,
    target,
  }: {
    request: FilesRequest
    staged: StagedSources | undefined
    target: Pick<PoolRequest, 'markers' | 'tags' | 'hashes' | 'installed'>
  },
  options: ResolveOptions,
): Promise<Resolved> {
  const { context, pool } = parts
  const { indexUrl } = context
  const index = indexOf(request, indexUrl)
  const about = {
    ...{ ...target, ...(index !== undefined && { index }), ...projectOf(request) },
    universal: lookups(at.probe, request, indexUrl),
  }
  const config = request.project && { [PROJECT_CONFIG]: uvProjectConfig(request.project.uv.settings, indexUrl) }
  const files = { ...request.files, ...staged?.files, ...config }
  const whole = { ...request, files, overrides: OVERRIDES in files }
  const chosen = async (text: string) => await pool.ask({ ...about, lock: staged?.lock(text) ?? text }, options)
  const canBuild = at.probe.libc.name === 'glibc'
  const sources = canBuild && request.preferBinary !== true
  try {
    if (staged?.hasArchives)
      return await chosen(await resolveAlone(parts, at, whole, { staged, builds: false, sources }, options))
    const uv = uvCompileArguments(at.probe, { ...whole, sources })
    const tables = tablesOf(files, (path) => staged?.counts(path) ?? true)
    const resolved = await pool.ask({ ...about, files, tables, arguments: uv }, options)
    return staged && staged.lock(resolved.text) !== resolved.text ? await chosen(resolved.text) : resolved
  } catch (error) {
    if (!needsBuild(error) || !canBuild) throw error
  }
  options.report('some package without a wheel says what it needs only when it is built: building its metadata')
  return await chosen(await resolveAlone(parts, at, whole, { staged, builds: true, sources: true }, options))
}

/** The indexes that the user's files name. */
function namedIndexes({ indexes, project }: FilesRequest): string[] {
  return [
    ...(indexes?.index === undefined ? [] : [indexes.index]),
    ...(indexes?.extra ?? []),
    ...(project?.uv.indexes ?? []),
  ]
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
