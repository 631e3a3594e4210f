import type { DockerConnection } from './docker-connection.ts'
import { answered } from './docker-errors.ts'
import { EngineUnavailable } from './engine.ts'

const REMOVE_LIMIT = 60_000
const LAST_LIMIT = 5_000

/** Removes something within so many milliseconds. False where it is still in use. */
type Removal = (limit: number) => Promise<boolean>

/** Removes containers and images. What can't be removed while the engine is away or it is in use is removed later. */
export class DockerRemovals {
  readonly #connection: DockerConnection
  readonly #everyMs: number
  readonly #left = new Set<Removal>()
  #timer: NodeJS.Timeout | undefined

  /** @param everyMs between attempts to remove what was left */
  constructor(connection: DockerConnection, everyMs: number) {
    this.#connection = connection
    this.#everyMs = everyMs
  }

  /** @throws {EngineUnavailable} where it is left for later */
  async remove(id: string): Promise<void> {
    await this.#now((limit) => this.#removeContainer(id, limit))
  }

  /**
   * Removes an image; one that a container uses, when no container does any more.
   * @throws {EngineUnavailable} where it is left for later
   */
  async removeImage(name: string): Promise<void> {
    await this.#now((limit) => this.#removeImage(name, limit))
  }

  /** Tries for a last time. */
  async close(): Promise<void> {
    clearTimeout(this.#timer)
    await this.#removeLeft(LAST_LIMIT)
  }

  async #now(removal: Removal): Promise<void> {
    try {
      if (!(await removal(REMOVE_LIMIT))) this.#leave(removal)
    } catch (error) {
      if (error instanceof EngineUnavailable) this.#leave(removal)
      throw error
    }
  }

  #leave(removal: Removal): void {
    this.#left.add(removal)
    this.#timer ??= setTimeout(() => void this.#again(), this.#everyMs).unref()
  }

  async #again(): Promise<void> {
    await this.#removeLeft(REMOVE_LIMIT)
    this.#timer = this.#left.size > 0 ? setTimeout(() => void this.#again(), this.#everyMs).unref() : undefined
  }

  async #removeLeft(limit: number): Promise<void> {
    for (const removal of this.#left) {
      try {
        if (!(await removal(limit))) continue
      } catch (error) {
        // It is still away. What it refuses to remove it would refuse again.
        if (error instanceof EngineUnavailable) return
      }
      this.#left.delete(removal)
    }
  }

  async #removeContainer(id: string, limit: number): Promise<boolean> {
    return await this.#connection.call(`remove container ${id.slice(0, 12)}`, limit, async (docker, abortSignal) => {
      try {
        await docker.getContainer(id).remove({ force: true, v: true, abortSignal })
      } catch (error) {
        // 404: it is gone; 409: another call removes it already.
        if (!answered(error, 404, 409)) throw error
      }
      return true
    })
  }

  async #removeImage(name: string, limit: number): Promise<boolean> {
    return await this.#connection.call(`remove image ${name}`, limit, async (docker, abortSignal) => {
      try {
        await docker.getImage(name).remove({ abortSignal })
      } catch (error) {
        if (answered(error, 409)) return false
        if (!answered(error, 404)) throw error
      }
      return true
    })
  }
}
