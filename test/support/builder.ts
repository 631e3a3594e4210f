import { createHash, randomUUID } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import Docker from 'dockerode'
import { tarArchive } from '../../common/tar.ts'
import {
  BUILDER_TOOLS,
  bootstrapWheels,
  CONDA_TOOLS,
  POETRY_TOOLS,
  type ToolList,
} from '../../service/builder/bootstrap.ts'
import type { Builder } from '../../service/builder/builder.ts'
import { type BuilderOptions, builderContext, createBuilder } from '../../service/builder/containers.ts'
import type { BuilderContext } from '../../service/builder/context.ts'
import { dockerEngine } from '../../service/engine/docker.ts'
import type { Engine } from '../../service/engine/engine.ts'
import type { BaseImage } from '../../service/image/base.ts'
import { baseImage, type PythonVersion } from './bases.ts'
import { MemoryBlobs } from './memory-blobs.ts'

/** A builder on the real engine. Dispose of it; it checks that no container is left. */
export interface TestBuilder extends AsyncDisposable {
  builder: Builder
  context: BuilderContext
  engine: Engine
  blobs: MemoryBlobs
  folder: string
  /** The builder image. */
  image(): Promise<string>
  /** The containers that exist now. */
  containers(): Promise<string[]>
  /** Another builder beside it, with other limits. */
  another(options: Partial<BuilderOptions>): Builder
}

/** Conda without channels. */
const NO_CHANNELS = { repodata: async () => ({ none: 'nobody asks for conda' }), channels: {} }

/** Whatever a step asks for. */
export const STEP = { signal: AbortSignal.timeout(300_000), report: (_line: string) => {} }

export async function testBuilder(): Promise<TestBuilder> {
  const engine = dockerEngine()
  const { networks } = await engine.info()
  const folder = await mkdtemp(join(tmpdir(), 'builder-'))
  const blobs = new MemoryBlobs()
  const node = `test-${randomUUID()}`
  const ca = process.env.NODE_EXTRA_CA_CERTS ?? process.env.SSL_CERT_FILE
  const network = networks.includes('internet') ? ('internet' as const) : ('open' as const)
  const shared = { engine, node, network, ...(ca ? { caBundle: await readFile(ca, 'utf8') } : {}) }
  const context = builderContext(shared)
  const made: Builder[] = []
  const image = () => toolImage(context, BUILDER_TOOLS, folder)
  const another = (options: Partial<BuilderOptions>) => {
    const poetryImage = () => toolImage(context, POETRY_TOOLS, folder)
    const condaImage = () => toolImage(context, CONDA_TOOLS, folder)
    const builder = createBuilder({
      ...shared,
      blobs,
      folder,
      image,
      poetryImage,
      condaImage,
      conda: NO_CHANNELS,
      ...options,
    })
    made.push(builder)
    return builder
  }
  const containers = async () => (await engine.find({ 'run.meadow.node': node })).map(({ id }) => id)
  return {
    builder: another({}),
    context,
    engine,
    blobs,
    folder,
    image,
    containers,
    another,
    async [Symbol.asyncDispose]() {
      for (const builder of made) await builder.close()
      const left = await containers()
      for (const id of left) await engine.container(id).remove()
      await engine.close()
      await rm(folder, { recursive: true })
      if (left.length > 0) throw new Error(`${left.length} containers were left`)
    },
  }
}

/** A base as the builder needs it: what the engine calls it. */
export async function testBase(python: PythonVersion): Promise<BaseImage> {
  const reference = await baseImage(python)
  const defaults = { env: [], user: '', workdir: '' }
  const digest = `sha256:${createHash('sha256').update(reference).digest('hex')}` as const
  return { name: `python:${python}`, digest, layers: [], defaults, platform: 'linux/amd64', reference }
}

/** An image of our own tools without the pipeline: its wheels, installed by pip. Made where it is missing, and kept like a base. */
async function toolImage(context: BuilderContext, tools: ToolList, folder: string): Promise<string> {
  const base = await testBase('3.11')
  const key = createHash('sha256').update(tools.requirements).update(base.reference).digest('hex').slice(0, 12)
  const name = `meadow-test/${tools.name}:${key}`
  if (await context.engine.hasImage(name)) return name
  const wheels = await bootstrapWheels(context, base, tools, join(folder, `bootstrap-${tools.name}`), STEP)
  const docker = new Docker({ timeout: 120_000 })
  const install =
    'python3 -m venv --without-pip /opt/env && python3 -m pip -q --python /opt/env/bin/python3 install --no-index --no-deps /wheels/*.whl && rm -r /wheels'
  const container = await docker.createContainer({
    Image: base.reference,
    Cmd: ['/bin/sh', '-ec', install],
    HostConfig: { NetworkMode: 'none' },
  })
  try {
    const files = await Promise.all(
      wheels.map(async ({ filename, file }) => ({
        path: `wheels/${filename}`,
        type: 'file' as const,
        mode: 0o644,
        mtime: 0,
        content: await readFile(file),
      })),
    )
    await container.putArchive(Readable.from([tarArchive(files)]), { path: '/' })
    await container.start()
    const { StatusCode } = await container.wait()
    if (StatusCode !== 0) throw new Error(`the builder image's pip failed: ${await container.logs({ stderr: true })}`)
    const [repo, tag] = name.split(':')
    await container.commit({ repo, tag })
  } finally {
    await container.remove({ force: true, v: true })
  }
  return name
}
