import { randomUUID } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import * as z from 'zod/mini'
import { TAR_END, tarHeader, tarPadding } from '../../common/tar.ts'
import type { BaseImage } from '../image/base.ts'
import type { Probe } from '../interpreter/probe.ts'
import { BuildFailed, type BuildRequest, type StepOptions } from './builder.ts'
import type { BuilderContext } from './context.ts'
import { BrokenFrames, Frames } from './frames.ts'
import { putUv, UV } from './put-uv.ts'
import { pythonSource } from './python-source.ts'
import { Step, StepFailed } from './step.ts'
import { STEP_FOLDER } from './step-spec.ts'
import { UV_CONFIG, uvConfig } from './uv.ts'

/** Said by a container in which the user's code ran. */
const Announced = z.object({
  filename: z.string().check(z.regex(/^[\w.+!-]+\.whl$/)),
  size: z.int().check(z.minimum(0)),
})
const PROGRAM = pythonSource('build_wheel')
/** 2000-01-01: zips know no time before 1980. https://reproducible-builds.org/specs/source-date-epoch/ */
const SOURCE_DATE_EPOCH = '946684800'

/** Builds an sdist in the base. */
export async function buildWheel(
  parts: { context: BuilderContext; image: () => Promise<string>; folder: string },
  { base, probe }: { base: BaseImage; probe: Probe },
  { artifact, file }: BuildRequest,
  options: StepOptions,
): Promise<{ filename: string; bytes: Readable }> {
  const { context } = parts
  const usesUv = probe.libc.name === 'glibc'
  const source = `${STEP_FOLDER}/${sourceName(artifact.filename)}`
  await using step = await Step.open(
    context,
    {
      name: `building ${artifact.name} ${artifact.version}`,
      image: base.reference,
      command: [probe.executable, '-I', '-c', PROGRAM, source, ...(usesUv ? [UV, UV_CONFIG] : [])],
      user: '0:0',
      env: { SOURCE_DATE_EPOCH, UV_CACHE_DIR: '/tmp/uv' },
      network: context.network,
      watchDisk: true,
      files: { [UV_CONFIG]: uvConfig(context.indexUrl) },
    },
    options,
  )
  if (usesUv) await putUv(context, await parts.image(), step.container, options.signal)
  await step.container.put(await tarOfFile(source, file), '/')
  await step.start()
  step.stdin.end()
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
    const filename = await receive(step, path, most).catch((error) => step.blame(error))
    await step.finish()
    if (filename === undefined) throw new BuildFailed(name, `${name}: the build made no wheel`, HINT)
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

async function receive(step: Step, path: string, most: number): Promise<string | undefined> {
  const frames = new Frames(step.stdout)
  const line = await frames.line()
  if (line === undefined) return undefined
  const wheel = z.safeParse(Announced, line)
  if (!wheel.success || wheel.data.size > most) throw new BrokenFrames('what it says of its wheel is not credible')
  await pipeline(frames.pieces(wheel.data.size), createWriteStream(path))
  return wheel.data.filename
}

const HINT =
  'Ask for a version that has a wheel, or for a base-image that has the compilers and libraries its build needs.'

/** Backends read the version from the name, so it stays; what could be a path or an option does not. */
function sourceName(filename: string): string {
  return filename.replace(/[^\w.+-]/g, '_').replace(/^[.-]+/, '_')
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
