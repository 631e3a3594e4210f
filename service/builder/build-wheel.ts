import { randomUUID } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import * as z from 'zod/mini'
import { TAR_END, tarArchive, tarHeader, tarPadding } from '../../common/tar.ts'
import type { BaseImage } from '../image/base.ts'
import type { Artifact } from '../interpreter/lock.ts'
import type { Probe } from '../interpreter/probe.ts'
import { BuildFailed, NotEditable } from './build-failed.ts'
import type { BuilderContext } from './context.ts'
import { BrokenFrames, Frames } from './frames.ts'
import type { StepOptions } from './options.ts'
import { putUv, UV } from './put-uv.ts'
import { pythonSource } from './python-source.ts'
import type { BuildRequest, BuildSource } from './requests.ts'
import { Step, StepFailed } from './step.ts'
import { STEP_FOLDER } from './step-spec.ts'
import { UV_CONFIG, uvConfig } from './uv.ts'

/** Said by a container in which the user's code ran. */
const Announced = z.union([
  z.object({
    filename: z.string().check(z.regex(/^[\w.+!-]+\.whl$/)),
    size: z.int().check(z.minimum(0)),
  }),
  z.object({ refused: z.string().check(z.maxLength(4096)) }),
])
const PROGRAM = pythonSource('build_wheel')
/** Where a run has its code: what an editable wheel points to. */
const WORKSPACE = '/workspace'
/** 2000-01-01: zips know no time before 1980. https://reproducible-builds.org/specs/source-date-epoch/ */
const SOURCE_DATE_EPOCH = '946684800'

/** Builds a wheel in the base. */
export async function buildWheel(
  parts: { context: BuilderContext; image: () => Promise<string>; folder: string },
  { base, probe }: { base: BaseImage; probe: Probe },
  { artifact, source }: BuildRequest,
  options: StepOptions,
): Promise<{ filename: string; bytes: Readable }> {
  const { context } = parts
  const usesUv = probe.libc.name === 'glibc'
  const place = placeOf(artifact, source)
  await using step = await Step.open(
    context,
    {
      name: `building ${artifact.name} ${artifact.version}`,
      image: base.reference,
      command: [probe.executable, '-I', '-c', PROGRAM],
      user: '0:0',
      env: { SOURCE_DATE_EPOCH, UV_CACHE_DIR: '/tmp/uv', ...pretendedVersion(artifact, source) },
      network: context.network,
      watchDisk: true,
      files: { [UV_CONFIG]: uvConfig(context.indexUrl) },
    },
    options,
  )
  if (usesUv) await putUv(context, await parts.image(), step.container, options.signal)
  await putSource(step, place.at, source)
  await step.start()
  step.stdin.end(JSON.stringify({ ...place.order, ...(usesUv ? { uv: UV, settings: UV_CONFIG } : {}) }))
  return await received(step, { folder: parts.folder, name: artifact.name, most: context.limits.disk })
}

/** Takes the wheel in before the container goes. Its file goes with the stream. */
async function received(
  step: Step,
  { folder, name, most }: { folder: string; name: string; most: number },
): Promise<{ filename: string; bytes: Readable }> {
  await mkdir(folder, { recursive: true })
  const path = join(folder, `${randomUUID()}.whl`)
  try {
    const announced = await receive(step, path, most).catch((error) => step.blame(error))
    await step.finish()
    if (announced === undefined) throw new BuildFailed(name, `${name}: the build made no wheel`, HINT)
    if ('refused' in announced) throw new NotEditable(name, announced.refused)
    const { filename } = announced
    const bytes = createReadStream(path)
    bytes.once('close', () => void rm(path, { force: true }))
    return { filename, bytes }
  } catch (error) {
    await rm(path, { force: true })
    if (!(error instanceof StepFailed)) throw error
    throw new BuildFailed(
      name,
      `${name}: its build failed with exit code ${error.exitCode}:\n${error.log.trim()}`,
      HINT,
    )
  }
}

async function receive(step: Step, path: string, most: number): Promise<z.infer<typeof Announced> | undefined> {
  const frames = new Frames(step.stdout)
  const line = await frames.line()
  if (line === undefined) return undefined
  const wheel = z.safeParse(Announced, line)
  if (!wheel.success) throw new BrokenFrames('what it says of its wheel is not credible')
  if ('refused' in wheel.data) return wheel.data
  if (wheel.data.size > most) throw new BrokenFrames('what it says of its wheel is not credible')
  await pipeline(frames.pieces(wheel.data.size), createWriteStream(path))
  return wheel.data
}

const HINT =
  'Ask for a version that has a wheel, or for a base-image that has the compilers and libraries its build needs.'

/** Where a source is put, and what the program in the container is told of it. */
function placeOf(artifact: Artifact, source: BuildSource): { at: string; order: Record<string, unknown> } {
  const { filename, kind, path = '', subdirectory = '' } = artifact
  if ('file' in source) {
    const at = `${STEP_FOLDER}/${sourceName(filename)}`
    return { at, order: { source: at, editable: false, subdirectory } }
  }
  const project = [WORKSPACE, kind === 'directory' ? path : '', subdirectory].filter((part) => part !== '').join('/')
  const { system } = source
  return { at: WORKSPACE, order: { source: project, editable: system !== undefined, ...(system && { system }) } }
}

/** Backends read the version from the name, so it stays; what could be a path or an option does not. */
function sourceName(filename: string): string {
  return filename.replace(/[^\w.+-]/g, '_').replace(/^[.-]+/, '_')
}

/** Backends that ask git for a version look here first: setuptools-scm and hatch-vcs, pdm, poetry. */
function pretendedVersion({ name }: Artifact, source: BuildSource): Record<string, string> {
  if (!('version' in source) || source.version === undefined) return {}
  const own = `SETUPTOOLS_SCM_PRETEND_VERSION_FOR_${name.toUpperCase().replaceAll('-', '_')}`
  const others = ['SETUPTOOLS_SCM_PRETEND_VERSION', 'PDM_BUILD_SCM_VERSION', 'POETRY_DYNAMIC_VERSIONING_BYPASS']
  return Object.fromEntries([own, ...others].map((variable) => [variable, source.version as string]))
}

async function putSource(step: Step, at: string, source: BuildSource): Promise<void> {
  if ('file' in source) return await step.container.put(await tarOfFile(at, source.file), '/')
  const folder = tarArchive([{ path: at.slice(1), type: 'directory', mode: 0o755, mtime: 0 }])
  await step.container.put(Readable.from([folder]), '/')
  await step.container.put(source.tree, at)
}

async function tarOfFile(path: string, file: string): Promise<Readable> {
  const { size } = await stat(file)
  const header = tarHeader({ path: path.slice(1), type: 'file', mode: 0o644, size, mtime: 0 })
  return Readable.from(
    (async function* () {
      yield header
      yield* createReadStream(file)
      yield tarPadding(size)
      yield TAR_END
    })(),
  )
}
