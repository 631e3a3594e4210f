import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { runCommand, type Say } from '../machine/command.ts'
import { freePort } from '../machine/free-port.ts'
import { localBase, removeImages } from '../machine/local-base.ts'
import { ensurePackages, findProgram } from '../machine/packages.ts'
import { endProcess } from '../machine/process.ts'
import type { Recipe } from './recipes.ts'
import { settle } from './settle.ts'

/** Files of a build's context, by their names. */
export type ContextFiles = Record<string, string | Uint8Array>

/** Seconds of each step of the usual way. */
export interface PeerSeconds {
  build: number
  push: number
  pull: number
  total: number
}

const MINUTES = 15

/**
 * The usual way from environment files to an image on a node: `docker build` with the format's own installer, push to a
 * registry on the loopback, pull on a node that has the base image and no layer of the environment.
 */
export class DockerPeer {
  readonly #base: string
  readonly #folder: string
  readonly #host: string
  readonly #ca: string | undefined
  /** The base with each recipe's installer, by the recipe's name. */
  readonly #prepared = new Map<string, string>()
  readonly #cleanup: AsyncDisposableStack

  private constructor(cleanup: AsyncDisposableStack, base: string, folder: string, host: string) {
    this.#cleanup = cleanup
    this.#base = base
    this.#folder = folder
    this.#host = host
    this.#ca = process.env.MEADOW_CA_BUNDLE ?? process.env.NODE_EXTRA_CA_CERTS ?? process.env.SSL_CERT_FILE
  }

  /** @param folder an empty folder, for the build's context and the registry's files */
  static async start(cleanup: AsyncDisposableStack, folder: string, say: Say): Promise<DockerPeer> {
    await ensurePackages(['docker-registry'], { say })
    const base = await localBase('3.11', { say })
    await mkdir(folder, { recursive: true })
    const port = await startRegistry(cleanup, folder)
    const peer = new DockerPeer(cleanup, base, folder, `127.0.0.1:${port}`)
    cleanup.defer(() => removeImages(`${peer.#host}/`))
    return peer
  }

  /** Builds, pushes and pulls one environment, by the path of each of its files. */
  async bake(recipe: Recipe, files: ContextFiles): Promise<PeerSeconds> {
    const from = await this.#prepare(recipe)
    const context = await this.#context(files, [
      `FROM ${from}`,
      'WORKDIR /project',
      `COPY ${Object.keys(files).join(' ')} ./`,
      `RUN ${recipe.install}`,
      'ENV PATH=/opt/env/bin:$PATH',
    ])
    const image = `${this.#host}/environment:${Date.now()}`
    const build = await timed(['build', '--quiet', '--no-cache', '--force-rm', '--tag', image, context])
    const push = await timed(['push', '--quiet', image])
    await removeImages(`${this.#host}/`)
    await settle()
    const pull = await timed(['pull', '--quiet', image])
    return { build, push, pull, total: build + push + pull }
  }

  /** The lock that the recipe's own tool makes of a pyproject.toml. */
  async lock(recipe: Recipe, pyproject: string, lockFile: string): Promise<string> {
    const from = await this.#prepare(recipe)
    const folder = await this.#context({ 'pyproject.toml': pyproject }, [])
    const mount = ['--volume', `${folder}:/project`, '--workdir', '/project']
    await timed(['run', '--rm', ...mount, from, '/bin/sh', '-ec', recipe.lock ?? 'false'])
    return await readFile(join(folder, lockFile), 'utf8')
  }

  /** The base with the installer in it: on the node, and in the registry, as the base is in ours. */
  async #prepare({ name, tool, env }: Recipe): Promise<string> {
    const known = this.#prepared.get(name)
    if (known !== undefined) return known
    const image = `meadow-bench/${name}:${Date.now()}`
    const certificate = this.#ca ? { 'ca.crt': await readFile(this.#ca, 'utf8') } : undefined
    const authority = certificate && [
      'COPY ca.crt /etc/ca.crt',
      'ENV SSL_CERT_FILE=/etc/ca.crt PIP_CERT=/etc/ca.crt REQUESTS_CA_BUNDLE=/etc/ca.crt',
    ]
    const context = await this.#context(certificate ?? {}, [
      `FROM ${this.#base}`,
      ...(authority ?? []),
      ...Object.entries(env).map(([key, value]) => `ENV ${key}=${value}`),
      ...tool.map((line) => `RUN ${line}`),
    ])
    await timed(['build', '--quiet', '--force-rm', '--tag', image, context])
    this.#cleanup.defer(() => removeImages(image))
    const pushed = `${this.#host}/prepared:${name}`
    await timed(['tag', image, pushed])
    await timed(['push', '--quiet', pushed])
    this.#prepared.set(name, image)
    return image
  }

  async #context(files: ContextFiles, dockerfile: string[]): Promise<string> {
    const folder = await mkdtemp(join(this.#folder, 'context-'))
    const all = { ...files, ...(dockerfile.length > 0 && { Dockerfile: [...dockerfile, ''].join('\n') }) }
    for (const [path, text] of Object.entries(all)) await writeFile(join(folder, path), text)
    return folder
  }
}

/** Runs the docker client, and gives the seconds that it took. */
async function timed(args: string[]): Promise<number> {
  const start = performance.now()
  // The newer builder is a plugin of its own, which Debian's client lacks.
  const env = { ...process.env, DOCKER_BUILDKIT: '0' }
  await runCommand('docker', args, { env, timeout: MINUTES * 60_000 })
  return (performance.now() - start) / 1000
}

/** Debian's docker-registry on the loopback. */
async function startRegistry(cleanup: AsyncDisposableStack, folder: string): Promise<number> {
  const port = await freePort()
  const config = join(folder, 'registry.json')
  const storage = { filesystem: { rootdirectory: join(folder, 'registry') } }
  const log = { accesslog: { disabled: true }, level: 'error' }
  await writeFile(config, JSON.stringify({ version: 0.1, log, storage, http: { addr: `127.0.0.1:${port}` } }))
  const child = spawn(findProgram('docker-registry') ?? 'docker-registry', ['serve', config], { stdio: 'ignore' })
  child.once('error', (error) => console.error(`docker-registry: ${error.message}`))
  cleanup.defer(async () => {
    if (child.pid !== undefined && child.exitCode === null) await endProcess(child.pid, 10_000)
  })
  for (let tries = 0; tries < 100; tries++) {
    const answer = await fetch(`http://127.0.0.1:${port}/v2/`, { signal: AbortSignal.timeout(2_000) }).catch(() => null)
    if (answer?.ok) return port
    await sleep(100)
  }
  throw new Error('docker-registry does not answer')
}
