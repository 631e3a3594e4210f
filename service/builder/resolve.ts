import { posix } from 'node:path'
import type { BaseImage } from '../image/base.ts'
import { DEFAULT_INDEX } from '../interpreter/lock.ts'
import type { InstalledPackage, Probe } from '../interpreter/probe.ts'
import { type Resolve, type ResolveRequest, ResolverRefused } from '../interpreter/resolution.ts'
import type { ResolveOptions } from './builder.ts'
import type { CondaTool } from './conda.ts'
import type { BuilderContext } from './context.ts'
import { putUv, UV } from './put-uv.ts'
import { pythonSource } from './python-source.ts'
import type { PoolRequest, ResolverPool } from './resolver-pool.ts'
import { Step, StepFailed } from './step.ts'
import { STEP_FOLDER } from './step-spec.ts'
import { UV_CONFIG, uvCompileArguments, uvConfig, uvExportArguments, uvUniversalArguments } from './uv.ts'

/** How uv says that nothing but a build would do. */
const NEEDS_BUILD = /building from source is disabled|Building source distributions .* is disabled/
/** Bytes; a lock of a thousand packages has less than a tenth of it. */
const MOST_LOCK = 64 * 2 ** 20
const FOLDER = `${STEP_FOLDER}/requirements`

const INSTALLED = `${STEP_FOLDER}/installed.json`

/** What a lock is made for. */
interface Target {
  base: BaseImage
  probe: Probe
  installed: InstalledPackage[]
}

type FilesRequest = Extract<ResolveRequest, { path: string }>

/**
 * How locks are made for one base and its probe.
 * @param target what of the base's packages shows in the environment is `installed`, and no part of a lock
 */
export function resolverFor(
  parts: {
    context: BuilderContext
    pool: ResolverPool
    poetry: ResolverPool
    conda: CondaTool
    image: () => Promise<string>
  },
  target: Target,
  options: ResolveOptions,
): Resolve {
  const { probe, installed } = target
  const { pool, poetry, conda, context } = parts
  return async (request) => {
    const about = {
      ...{ markers: probe.markers, tags: probe.tags, hashes: request.hashes ?? null },
      ...(installed.length > 0 && { installed }),
    }
    if ('lock' in request) {
      const { lock, folder, extras, groups } = request
      return await pool.ask({ ...about, lock, folder, extras, groups }, options)
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
    const wish = { ...about, index: context.indexUrl ?? DEFAULT_INDEX, ...projectOf(request) }
    try {
      const uv = uvCompileArguments(probe, { ...request, builds: false })
      return await pool.ask({ ...wish, files: request.files, arguments: uv }, options)
    } catch (error) {
      if (!needsBuild(error) || probe.libc.name !== 'glibc') throw error
    }
    options.report('no wheel of some package fits: building its metadata from source')
    const lock = await resolveWithBuilds(parts, target, request, options)
    return await pool.ask({ ...wish, lock, universal: uvUniversalArguments(probe) }, options)
  }
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

/** Runs the resolver in the base itself, whose Python build backends are meant for. Code of packages runs here. */
async function resolveWithBuilds(
  { context, image }: { context: BuilderContext; image: () => Promise<string> },
  { base, probe, installed }: Target,
  { files, ...request }: FilesRequest,
  options: ResolveOptions,
): Promise<string> {
  const uv = uvCompileArguments(probe, { ...request, builds: true })
  const withImage =
    installed.length === 0 ? [] : [probe.executable, '-I', '-c', pythonSource('image_packages'), INSTALLED]
  await using step = await Step.open(
    context,
    {
      name: 'resolving with builds',
      image: base.reference,
      command: [...withImage, UV, '--directory', FOLDER, ...uv, '--python', probe.executable],
      user: '0:0',
      env: { UV_CACHE_DIR: '/tmp/uv', SOURCE_DATE_EPOCH: '946684800' },
      network: context.network,
      watchDisk: true,
      files: {
        [UV_CONFIG]: uvConfig(context.indexUrl),
        [INSTALLED]: JSON.stringify(installed),
        ...Object.fromEntries(Object.entries(files).map(([name, content]) => [`${FOLDER}/${name}`, content])),
      },
    },
    options,
  )
  await putUv(context, await image(), step.container, options.signal)
  await step.start()
  step.stdin.end()
  const lock = await step.text(MOST_LOCK)
  try {
    await step.finish()
  } catch (error) {
    if (error instanceof StepFailed) throw new ResolverRefused('uv', error.log)
    throw error
  }
  return lock
}
