import type { DockerConnection } from './docker-connection.ts'
import { answered } from './docker-errors.ts'
import { EngineUnavailable } from './engine.ts'

const REMOVE_LIMIT = 60_000
const LAST_LIMIT = 5_000

/** Removes containers. What can't be removed while the engine is away is removed when it is back. */
export class DockerRemovals {
  readonly #connection: DockerConnection
  readonly #everyMs: number
  readonly #left = new Set<string>()
  #timer: NodeJS.Timeout | undefined

  /** @param everyMs between attempts to remove what was left */
  constructor(connection: DockerConnection, everyMs: number) {
    this.#connection = connection
    this.#everyMs = everyMs
  }

  /** @throws {EngineUnavailable} where it is left for later */
  async remove(id: string): Promise<void> {
    try {
      await this.#remove(id)
    } catch (error) {
      if (error instanceof EngineUnavailable) {
        this.#left.add(id)
        this.#timer ??= setTimeout(() => void this.#again(), this.#everyMs).unref()
      }
      throw error
    }
  }

  /** Tries for a last time. */
  async close(): Promise<void> {
    clearTimeout(this.#timer)
    await this.#removeLeft(LAST_LIMIT)
  }

  async #again(): Promise<void> {
    await this.#removeLeft()
    this.#timer = this.#left.size > 0 ? setTimeout(() => void this.#again(), this.#everyMs).unref() : undefined
  }

  async #removeLeft(limit?: number): Promise<void> {
    for (const id of this.#left) {
      try {
        await this.#remove(id, limit)
      } catch (error) {
        // It is still away. What it refuses to remove it would refuse again.
        if (error instanceof EngineUnavailable) return
      }
      this.#left.delete(id)
    }
  }

  async #remove(id: string, limit = REMOVE_LIMIT): Promise<void> {
    await this.#connection.call(`remove container ${id.slice(0, 12)}`, limit, async (docker, abortSignal) => {
      try {
        await docker.getContainer(id).remove({ force: true, v: true, abortSignal })
      } catch (error) {
        // 404: it is gone; 409: another call removes it already.
        if (!answered(error, 404, 409)) throw error
      }
    })
  }
}
