import { addAbortSignal, Readable, Transform } from 'node:stream'
import { demultiplex } from './docker-attach.ts'
import type { DockerConnection } from './docker-connection.ts'
import { answered, engineError } from './docker-errors.ts'
import type { DockerRemovals } from './docker-removals.ts'
import type { Attachment, Container, Exit } from './engine.ts'
import { type NoProgress, noProgress } from './no-progress.ts'

const INSPECT_LIMIT = 10_000
const START_LIMIT = 60_000
const COPY_STALL = 60_000
const SIZE_LIMIT = 60_000

/** A container of Docker, by its id. */
export class DockerContainer implements Container {
  readonly id: string
  readonly #connection: DockerConnection
  readonly #removals: DockerRemovals

  constructor(connection: DockerConnection, removals: DockerRemovals, id: string) {
    this.#connection = connection
    this.#removals = removals
    this.id = id
  }

  async put(tar: Readable, folder: string): Promise<void> {
    using stall = noProgress(COPY_STALL)
    const metered = new Transform({
      transform(chunk, _encoding, done) {
        stall.tick()
        done(null, chunk)
      },
    })
    tar.on('error', (error) => metered.destroy(error))
    tar.pipe(metered)
    try {
      await this.#connection.call(
        `copy into ${folder} of ${this.#name}`,
        undefined,
        (docker, abortSignal) => docker.getContainer(this.id).putArchive(metered, { path: folder, abortSignal }),
        stall.signal,
      )
    } finally {
      tar.destroy()
      metered.destroy()
    }
  }

  async get(path: string): Promise<Readable> {
    const doing = `copy ${path} out of ${this.#name}`
    const source = await this.#connection.call(
      doing,
      INSPECT_LIMIT,
      (docker, abortSignal) => docker.getContainer(this.id).getArchive({ path, abortSignal }) as Promise<Readable>,
    )
    const stall = noProgress(COPY_STALL)
    addAbortSignal(stall.signal, source)
    return Readable.from(watched(source, stall, (error) => engineError(error, doing, this.#connection.where)))
  }

  async attach(): Promise<Attachment> {
    const path = `/containers/${this.id}/attach?stream=1&stdin=1&stdout=1&stderr=1`
    return demultiplex(await this.#connection.hijack(`attach to ${this.#name}`, path, INSPECT_LIMIT))
  }

  async start(): Promise<void> {
    await this.#connection.call(`start ${this.#name}`, START_LIMIT, (docker, abortSignal) =>
      docker.getContainer(this.id).start({ abortSignal }),
    )
  }

  async wait(signal?: AbortSignal): Promise<Exit> {
    const { StatusCode } = await this.#connection.ask<{ StatusCode: number }>(
      `wait for ${this.#name}`,
      `/containers/${this.id}/wait`,
      signal,
    )
    const { State } = await this.#inspect(false)
    return { exitCode: StatusCode, oom: State.OOMKilled }
  }

  async kill(signal: 'SIGTERM' | 'SIGKILL' | 'SIGINT'): Promise<void> {
    await this.#connection.call(`kill ${this.#name}`, INSPECT_LIMIT, async (docker, abortSignal) => {
      const container = docker.getContainer(this.id)
      // 409: it does not run; 404: it is gone.
      await container.kill({ signal, abortSignal }).catch(unless(404, 409))
    })
  }

  async diskUsed(): Promise<number> {
    const { SizeRw } = await this.#inspect(true)
    return SizeRw ?? 0
  }

  async remove(): Promise<void> {
    await this.#removals.remove(this.id)
  }

  #inspect(size: boolean) {
    return this.#connection.call(
      `inspect ${this.#name}`,
      size ? SIZE_LIMIT : INSPECT_LIMIT,
      (docker, abortSignal) =>
        docker.getContainer(this.id).inspect({ size, abortSignal } as object) as Promise<{
          SizeRw?: number
          State: { OOMKilled: boolean }
        }>,
    )
  }

  get #name(): string {
    return `container ${this.id.slice(0, 12)}`
  }
}

function unless(...statuses: number[]) {
  return (error: unknown) => {
    if (!answered(error, ...statuses)) throw error
  }
}

/** The source's chunks; the limit runs only while one is awaited, so a slow reader is no fault. */
async function* watched(source: Readable, stall: NoProgress, typed: (error: unknown) => Error) {
  using _ = stall
  try {
    for await (const chunk of source) {
      stall.rest()
      yield chunk as Buffer
      stall.tick()
    }
  } catch (error) {
    throw typed(error)
  }
}
