import { Readable } from 'node:stream'
import type { BaseImage } from '../image/base.ts'
import type { InstalledPackage, Probe } from '../interpreter/probe.ts'
import { type FilesRequest, ResolverRefused } from '../interpreter/resolution.ts'
import type { EnvironmentFiles } from '../interpreter/spec.ts'
import { type BuilderContext, LimitReached } from './context.ts'
import type { ResolveOptions } from './options.ts'
import { putUv, UV } from './put-uv.ts'
import { pythonSource } from './python-source.ts'
import { BUILDER_ENV } from './resolver-pool.ts'
import type { StagedSources } from './staged-sources.ts'
import { Step, StepFailed } from './step.ts'
import { STEP_FOLDER, textsTar } from './step-spec.ts'
import { NO_BUILDS, UV_CACHE, UV_CONFIG, uvCompileArguments, uvConfig } from './uv.ts'
import { UV_LOG, UvLog } from './uv-log.ts'

/** Bytes; a lock of a thousand packages has less than a tenth of it. */
const MOST_LOCK = 64 * 2 ** 20
const FOLDER = `${STEP_FOLDER}/requirements`
const URL_IN_FOLDER = new RegExp(`url = "file://${FOLDER}/([^"]*)"`, 'g')
const INSTALLED = `${STEP_FOLDER}/installed.json`

/** What a lock is made for. */
export interface Target {
  base: BaseImage
  probe: Probe
  installed: InstalledPackage[]
}

/**
 * Runs the resolver in a container of its own: where it builds, in the base, whose Python build backends are meant for
 * (code of packages runs there); else beside the others, with files that are no text.
 */
export async function resolveAlone(
  { context, image }: { context: BuilderContext; image: () => Promise<string> },
  { base, probe, installed }: Target,
  { files, ...request }: FilesRequest & { overrides: boolean },
  { staged, builds, sources }: { staged: StagedSources | undefined; builds: boolean; sources: boolean },
  options: ResolveOptions,
): Promise<string> {
  const uv = uvCompileArguments(probe, { ...request, sources })
  const builder = await image()
  const [program, python] = builds
    ? ([UV, probe.executable] as const)
    : ([`${BUILDER_ENV}/bin/uv`, `${BUILDER_ENV}/bin/python3`] as const)
  const withImage = installed.length === 0 ? [] : [python, '-I', '-c', pythonSource('image_packages'), INSTALLED]
  const log = new UvLog(FOLDER, options.report)
  await using step = await Step.open(
    context,
    {
      name: builds ? 'resolving with builds' : 'resolving with local files',
      image: builds ? base.reference : builder,
      command: [...withImage, program, '--directory', FOLDER, ...uv, '--python', python],
      user: '0:0',
      env: {
        UV_CACHE_DIR: builds ? '/tmp/uv' : UV_CACHE,
        SOURCE_DATE_EPOCH: '946684800',
        ...(builds ? { ...staged?.versions, RUST_LOG: UV_LOG } : {}),
      },
      network: context.network,
      watchDisk: true,
      files: {
        ...(builds ? {} : NO_BUILDS),
        [UV_CONFIG]: uvConfig(context.indexUrl),
        [INSTALLED]: JSON.stringify(installed),
        ...inFolder(files),
      },
    },
    { ...options, report: log.take },
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
    if (error instanceof StepFailed) throw new ResolverRefused('uv', log.failure(error.log))
    if (!(error instanceof LimitReached)) throw error
    const { message, hint } = error
    throw new ResolverRefused('uv', log.ended(message, step.log), undefined, { hint })
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
