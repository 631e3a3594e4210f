import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import Docker from 'dockerode'
import { removeImages } from '../../machine/local-base.ts'
import { copyTemplate } from './data-template.ts'
import { Project } from './project.ts'
import { becomes, logOf, type RunningService, type ServiceHome, serviceHome, startProcess } from './service-process.ts'

const STANDBY_MS = 60_000
/** Small, so that tests need little of the machine. */
const SETTINGS = { MEADOW_RUN_MEMORY: '256MiB', MEADOW_NODE_MEMORY: '4GiB', MEADOW_NODE_CPUS: '8' }

/** The whole service in a process of its own, on a data folder of its own, with a git host in a folder. */
export class ServiceUnderTest {
  readonly home: ServiceHome
  #process: Promise<RunningService> | undefined
  readonly #docker = new Docker({ timeout: 60_000 })

  private constructor(home: ServiceHome) {
    this.home = home
  }

  /** @param settings further `MEADOW_*` settings */
  static async start(settings: Record<string, string> = {}): Promise<ServiceUnderTest> {
    const folder = await mkdtemp(join(tmpdir(), 'meadow-e2e-'))
    const service = new ServiceUnderTest(
      await serviceHome(folder, { MEADOW_GIT_URL: `file://${join(folder, 'git')}`, ...SETTINGS, ...settings }),
    )
    try {
      await copyTemplate(join(folder, 'data'))
      await service.start()
      return service
    } catch (error) {
      await service.close()
      throw error
    }
  }

  async start(until?: 'healthz' | 'readyz'): Promise<void> {
    this.#process = startProcess(this.home, until)
    this.#process.catch(() => {
      this.#process = undefined
    })
    await this.#process
  }

  /** Waits until it can work. */
  async ready(): Promise<void> {
    await becomes(this.home, 'readyz')
  }

  /** Of its process. */
  async pid(): Promise<number> {
    const running = await this.#process
    if (!running) throw new Error('the service does not run')
    return running.pid
  }

  /** Ends it at once, as a power cut would. */
  async kill(): Promise<void> {
    await (await this.#process)?.kill()
    this.#process = undefined
  }

  async stop(): Promise<number | null> {
    const code = (await (await this.#process)?.stop()) ?? null
    this.#process = undefined
    return code
  }

  get log(): string {
    return logOf(this.home)
  }

  async project(name: string): Promise<Project> {
    return await Project.make(this.home, join(this.home.folder, 'git'), name)
  }

  /** Waits until a container of each of these images waits for a run, as the service's own table says. */
  async standbysOf(images: string[]): Promise<void> {
    const limit = Date.now() + STANDBY_MS
    for (;;) {
      const ready = new Set(
        this.ask<{ container: string }>("select container from standbys where state = 'ready'").map(
          ({ container }) => container,
        ),
      )
      const there = (await this.containers()).filter(({ Id }) => ready.has(Id))
      if (images.every((image) => there.some(({ Labels }) => Labels['run.meadow.image'] === image))) return
      if (Date.now() > limit) throw new Error(`no standbys of ${images} came:\n${this.log.slice(-4000)}`)
      await sleep(20)
    }
  }

  /** Rows of the service's own state. */
  ask<T>(query: string, ...parameters: string[]): T[] {
    using database = new DatabaseSync(join(this.home.folder, 'data/state.db'), { readOnly: true, timeout: 5000 })
    return database.prepare(query).all(...parameters) as T[]
  }

  /** The containers that it made and that still exist. */
  async containers(): Promise<Docker.ContainerInfo[]> {
    const file = join(this.home.folder, 'data/node-id')
    if (!existsSync(file)) return []
    const node = readFileSync(file, 'utf8').trim()
    return await this.#docker.listContainers({ all: true, filters: { label: [`run.meadow.node=${node}`] } })
  }

  /**
   * Stops it and removes all that it made.
   * @throws {Error} where it left containers behind, or did not stop in order
   */
  async close(): Promise<void> {
    const code = this.#process && (await this.stop())
    const left = await this.containers()
    for (const { Id } of left) await this.#docker.getContainer(Id).remove({ force: true, v: true })
    await removeImages(`${this.home.host}/`)
    const log = this.log
    await rm(this.home.folder, { recursive: true })
    if (code !== undefined && code !== 0) throw new Error(`the service ended with ${code}:\n${log.slice(-4000)}`)
    if (left.length > 0) throw new Error(`the service left ${left.length} containers behind:\n${log.slice(-4000)}`)
  }
}
