import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CacheAccount } from '../common/events.ts'
import { runCommand, type Say } from '../machine/command.ts'
import { ensureDocker } from '../machine/docker.ts'
import { freePort } from '../machine/free-port.ts'
import { imageNames, removeImages } from '../machine/local-base.ts'
import { ensurePackages } from '../machine/packages.ts'
import { Account } from '../quickstart/account.ts'
import { pushPayload, sendPush } from '../quickstart/push.ts'
import type { Commit } from '../quickstart/sample.ts'
import { type ServiceProcess, startService } from '../quickstart/service.ts'
import { WARM_UP } from './environment.ts'
import { Repository } from './repository.ts'
import { settle } from './settle.ts'

const BASE = 'python:3.11-slim-bookworm'

/** What a push led to. */
export interface Pushed {
  /** From sending the push until its image is on the node, and a standby is ready where they are kept. */
  seconds: number
  cache: CacheAccount
  /** The build's stages and the seconds of each, for the reader: `resolve 0.7, packages 3.1`. */
  stages: string
}

/** The real service as an operator runs it, in a process of its own, with a folder for the whole bench. */
export class Installation {
  readonly folder: string
  readonly #host: string
  readonly #settings: Record<string, string>
  #service: ServiceProcess | undefined
  #standbys: number | undefined
  /** What the engine has from the service after its first environment: the base and the builder. */
  #warmUp: string[] = []

  private constructor(folder: string, host: string, settings: Record<string, string>) {
    this.folder = folder
    this.#settings = settings
    this.#host = host
  }

  /** @param settings further `MEADOW_*` settings of its service */
  static async create(
    cleanup: AsyncDisposableStack,
    say: Say,
    settings: Record<string, string> = {},
  ): Promise<Installation> {
    await ensurePackages(['git'], { say })
    const docker = await ensureDocker({ say })
    cleanup.defer(docker.stop)
    const folder = await mkdtemp(join(tmpdir(), 'meadow-bench-'))
    cleanup.defer(() => rm(folder, { recursive: true, force: true }))
    await mkdir(join(folder, 'git'))
    const installation = new Installation(folder, `127.0.0.1:${await freePort()}`, settings)
    cleanup.defer(async () => {
      await installation.stop()
      await removeImages(`${installation.#host}/`)
    })
    return installation
  }

  /**
   * The service, with so many standbys an image; started, or started anew, where it does not run like that. It has
   * built one environment before, so that its builder and the base image are there.
   */
  async service(standbys: number, say: Say): Promise<ServiceProcess> {
    if (this.#service && this.#standbys === standbys) return this.#service
    const isFirst = this.#standbys === undefined
    await this.stop()
    if (isFirst) await this.#writeBase(say)
    this.#service = await startService(this.folder, {
      MEADOW_LISTEN: this.#host,
      MEADOW_GIT_URL: `file://${join(this.folder, 'git')}`,
      MEADOW_BASES: BASE,
      MEADOW_STANDBYS: String(standbys),
      ...this.#settings,
    })
    this.#standbys = standbys
    if (isFirst) {
      const repository = await this.repository('bench/warm-up')
      await this.push(this.#service, repository, await repository.commit(WARM_UP))
      this.#warmUp = await imageNames(`${this.#host}/`)
    }
    return this.#service
  }

  async repository(name: string): Promise<Repository> {
    return await Repository.create(join(this.folder, 'git'), name)
  }

  /** Pushes a commit by a signed webhook and waits until a run of it can start. */
  async push(service: ServiceProcess, { name }: Pick<Repository, 'name'>, commit: Commit): Promise<Pushed> {
    const account = await Account.open(service, name)
    const [start, since] = [performance.now(), Date.now()]
    await sendPush(service, pushPayload({ name }, commit))
    const { id, cache } = await account.awaitBuild(commit.id)
    if (this.#standbys !== 0 && !(await service.awaitStandby(cache.image, since)))
      throw new Error(`no standby became ready; see ${service.logFile}`)
    const seconds = (performance.now() - start) / 1000
    return { seconds, cache, stages: await stagesOf(account, id) }
  }

  /** Takes from the engine all images that came from the service since its first environment. */
  async forgetImages(): Promise<void> {
    await removeImages(`${this.#host}/`, this.#warmUp)
    await settle()
  }

  async stop(): Promise<void> {
    await this.#service?.stop()
    this.#service = undefined
  }

  async #writeBase(say: Say): Promise<void> {
    await runCommand(process.execPath, [join(import.meta.dirname, '../machine/base-image.ts'), BASE], {
      env: { ...process.env, MEADOW_DATA: join(this.folder, 'data') },
      timeout: 30 * 60_000,
      onLine: say,
    })
  }
}

async function stagesOf(account: Account, build: string): Promise<string> {
  const stages: string[] = []
  for await (const { of, event } of account.events(build))
    if (event.kind === 'stage' && of === build) stages.push(`${event.name} ${event.seconds.toFixed(2)}`)
  return stages.join(', ')
}
