import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { normalizeName } from '../../common/package-name.ts'
import type { BaseImage } from '../image/base.ts'
import type { Artifact, Lock } from '../interpreter/lock.ts'
import type { BuilderContext } from './context.ts'
import { Frames } from './frames.ts'
import type { StepOptions } from './options.ts'
import { pythonSource } from './python-source.ts'
import { Step, StepFailed } from './step.ts'

const PROGRAM = pythonSource('bootstrap')

/** Tools of an image of our own. */
export interface ToolList {
  /** Of the image. */
  name: string
  /** Where they are listed. */
  file: string
  /** Versions and hashes, as a requirements file. Part of what the image is known by. */
  requirements: string
}

/** What the builder image holds. */
export const BUILDER_TOOLS = toolList('builder', 'requirements.txt')
/** What the image holds that reads projects of poetry; it is made only where one is there. */
export const POETRY_TOOLS = toolList('poetry', 'requirements-poetry.txt')
/** What the image holds that solves and links conda environments; it is made only where one is there. */
export const CONDA_TOOLS = toolList('conda', 'requirements-conda.txt')

function toolList(name: string, file: string): ToolList {
  return { name, file, requirements: readFileSync(join(import.meta.dirname, file), 'utf8') }
}

/** One of a tool image's wheels, on this machine. */
export interface BootstrapWheel {
  filename: string
  /** Its path. */
  file: string
  /** Hex. */
  sha256: string
  size: number
}

/** The builder image could not be made. */
export class BootstrapFailed extends Error {
  override name = 'BootstrapFailed'
  readonly hint =
    'The base must have Python 3.11 or later with pip and reach the index: check MEADOW_BASES, MEADOW_INDEX_URL and MEADOW_CA_BUNDLE.'
}

/**
 * Fetches a tool image's wheels with the pip of its base: the only thing that is installed before there is a
 * builder. Hashes are checked there and here.
 * @param folder where the wheels are kept, by their names
 * @throws {BootstrapFailed}
 */
export async function bootstrapWheels(
  context: BuilderContext,
  base: BaseImage,
  { name, requirements }: ToolList,
  folder: string,
  options: StepOptions,
): Promise<BootstrapWheel[]> {
  const spec = {
    name: `bootstrapping the ${name}`,
    image: base.reference,
    command: ['python3', '-I', '-c', PROGRAM],
    user: '0:0',
    network: context.network,
  }
  await mkdir(folder, { recursive: true })
  await using step = await Step.open(context, spec, options)
  await step.start()
  step.stdin.end(requirements)
  try {
    const wheels = await receive(new Frames(step.stdout), requirements, folder).catch((error) => step.blame(error))
    await step.finish()
    return wheels
  } catch (error) {
    if (!(error instanceof StepFailed)) throw error
    throw new BootstrapFailed(`the builder's packages can't be fetched: ${error.log.trim()}`, { cause: error })
  }
}

async function receive(frames: Frames, requirements: string, folder: string): Promise<BootstrapWheel[]> {
  const wheels: BootstrapWheel[] = []
  for (let line = await frames.line(); line !== undefined; line = await frames.line()) {
    const { filename, size } = line as { filename: string; size: number }
    const bytes = await frames.bytes(size)
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    if (!/^[\w.+-]+\.whl$/.test(filename) || !requirements.includes(sha256)) {
      throw new BootstrapFailed(`${filename} with sha256 ${sha256} is none of the builder's packages`)
    }
    wheels.push({ filename, file: await keep(folder, filename, bytes), sha256, size })
  }
  return wheels
}

/** The lock of such an image. Its artifacts have neither URL nor path: their bytes are the wheels' files. */
export function bootstrapLock(wheels: BootstrapWheel[], { file }: ToolList): Lock {
  const artifacts = wheels
    .map(({ filename, sha256, size }): Artifact => {
      const [name = '', version = ''] = filename.split('-')
      return { name: normalizeName(name), version, kind: 'wheel', filename, sha256, size }
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
  const text = pylock(artifacts)
  return {
    digest: `sha256:${createHash('sha256').update(text).digest('hex')}`,
    text,
    artifacts,
    source: file,
    requirements: [],
    unpinned: [],
    resolvedAt: Date.now(),
  }
}

async function keep(folder: string, filename: string, bytes: Buffer): Promise<string> {
  const file = join(folder, filename)
  await writeFile(`${file}.part`, bytes)
  await rename(`${file}.part`, file)
  return file
}

function pylock(artifacts: Artifact[]): string {
  const packages = artifacts.map(({ name, version, filename, sha256, size }) =>
    [
      '[[packages]]',
      `name = "${name}"`,
      `version = "${version}"`,
      `wheels = [{ path = "${filename}", size = ${size}, hashes = { sha256 = "${sha256}" } }]`,
    ].join('\n'),
  )
  return `${['lock-version = "1.0"\ncreated-by = "meadow-run"', ...packages].join('\n\n')}\n`
}
