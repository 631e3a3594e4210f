import { spawn } from 'node:child_process'
import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { runCommand, type Say } from '../machine/command.ts'
import { freePort } from '../machine/free-port.ts'
import { localBase, removeImages } from '../machine/local-base.ts'
import { ensurePackages, findProgram } from '../machine/packages.ts'
import { endProcess } from '../machine/process.ts'

/** Seconds of each step of the usual way. */
export interface PeerSeconds {
  build: number
  push: number
  pull: number
  total: number
}

const MINUTES = 15

/**
 * The usual way from requirements to an image on a node: `docker build` with pip, push to a registry on the loopback,
 * pull on a node that has the base image and no layer of the environment.
 */
export class DockerPeer {
  readonly #base: string
  readonly #folder: string
  readonly #host: string
  readonly #ca: string | undefined

  private constructor(base: string, folder: string, host: string, ca: string | undefined) {
    this.#base = base
    this.#folder = folder
    this.#host = host
    this.#ca = ca
  }

  /** @param folder an empty folder, for the build's context and the registry's files */
  static async start(cleanup: AsyncDisposableStack, folder: string, say: Say): Promise<DockerPeer> {
    await ensurePackages(['docker-registry'], { say })
    const base = await localBase('3.11', { say })
    await mkdir(join(folder, 'context'), { recursive: true })
    const port = await startRegistry(cleanup, folder)
    const ca = process.env.MEADOW_CA_BUNDLE ?? process.env.NODE_EXTRA_CA_CERTS ?? process.env.SSL_CERT_FILE
    const peer = new DockerPeer(base, folder, `127.0.0.1:${port}`, ca)
    cleanup.defer(() => removeImages(`${peer.#host}/`))
    // Its registry then has the base image, as ours does.
    await peer.bake('')
    return peer
  }

  /** Builds, pushes and pulls one environment. */
  async bake(requirements: string): Promise<PeerSeconds> {
    const context = join(this.#folder, 'context')
    await writeFile(join(context, 'requirements.txt'), requirements)
    await writeFile(join(context, 'Dockerfile'), this.#dockerfile())
    if (this.#ca) await copyFile(this.#ca, join(context, 'ca.crt'))
    const image = `${this.#host}/environment:${Date.now()}`
    const build = await timed(['build', '--quiet', '--no-cache', '--force-rm', '--tag', image, context])
    const push = await timed(['push', '--quiet', image])
    await removeImages(`${this.#host}/`)
    const pull = await timed(['pull', '--quiet', image])
    return { build, push, pull, total: build + push + pull }
  }

  #dockerfile(): string {
    const authority = this.#ca ? ['COPY ca.crt /etc/ca.crt', 'ENV SSL_CERT_FILE=/etc/ca.crt PIP_CERT=/etc/ca.crt'] : []
    return [
      `FROM ${this.#base}`,
      ...authority,
      'RUN python3 -m venv /opt/env',
      'COPY requirements.txt /tmp/',
      'RUN /opt/env/bin/pip install --quiet --no-cache-dir -r /tmp/requirements.txt',
      'ENV PATH=/opt/env/bin:$PATH',
      '',
    ].join('\n')
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
