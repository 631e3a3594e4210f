import type { Blobs, Digest } from '../../blobs/blobs.ts'
import type { Database } from '../../database/database.ts'
import { removeStandby, saveStandby } from '../../database/nodes.ts'
import type { Engine, NetworkClass } from '../../engine/engine.ts'
import { IMAGE_LABEL, prepareStandby, type Standby, type SysPath } from '../../engine/standby.ts'
import { keyOf } from '../../image/keys.ts'
import type { Domain } from '../../policy/domain.ts'
import type { BringImage } from '../images/bring-image.ts'

/** What a standby is made for: a run takes one only if all of this is the same. */
export interface StandbyWish {
  /** How the engine knows the image. */
  image: string
  /** Of the image's manifest. */
  digest: Digest
  bundle: Digest
  /** What is put at `/workspace.1` and so on. */
  roots: Digest[]
  domain: Domain
  /** `uid:gid` */
  user: string
  preload: string[]
  /** Where those are looked for; empty where there are none. */
  sysPath: SysPath | undefined
  /** Bytes. */
  memory: number
  cpus: number
  network: NetworkClass
  /** Most bytes that it may write. */
  disk: number
}

/** How many standbys are kept, and how long. Sizes in bytes, times in milliseconds. */
export interface StandbyLimits {
  /** Ready at a time for one wish. */
  perImage: number
  lifetime: number
  /** The sum of the memory limits of all. */
  memory: number
}

export interface PoolParts {
  database: Database
  blobs: Blobs
  engine: Engine
  bring: BringImage
  /** The node's id. */
  node: string
  limits: StandbyLimits
  log: (line: string) => void
}

/** Processes and threads of one run. */
const PIDS = 4096

interface Waiting {
  standby: Standby
  key: string
  memory: number
  /** Takes it away when its time is over. */
  expiry: NodeJS.Timeout
}

/** Containers that wait for runs on this node, newest wishes first: a push makes the standbys of older ones worthless. */
export class StandbyPool {
  readonly #parts: PoolParts
  readonly #waiting = new Map<string, Waiting>()
  /** By key: standbys that are being made. */
  readonly #coming = new Map<string, Promise<void>>()
  readonly #stop = new AbortController()

  constructor(parts: PoolParts) {
    this.#parts = parts
  }

  /** Sees to it that standbys of a wish are ready, as many as the settings say and the memory bound allows. */
  async want(wish: StandbyWish): Promise<void> {
    const key = keyOfWish(wish)
    const under = this.#coming.get(key)
    if (under !== undefined) return await under
    const filling = this.#fill(wish, key).finally(() => this.#coming.delete(key))
    this.#coming.set(key, filling)
    await filling
  }

  /** Takes a ready standby away from the pool. Whoever takes it removes it. */
  take(wish: StandbyWish): Standby | undefined {
    const key = keyOfWish(wish)
    for (const [id, waiting] of this.#waiting) {
      if (waiting.key === key) return this.#forget(id)
    }
    return undefined
  }

  /** Makes a container for one run, cold. */
  async make(wish: StandbyWish, signal: AbortSignal): Promise<Standby> {
    const { engine, blobs, node, bring } = this.#parts
    const { image, user, preload, sysPath, memory, cpus, network, disk } = wish
    const either = AbortSignal.any([signal, this.#stop.signal])
    await bring(image, { signal: either })
    return await prepareStandby(
      engine,
      {
        ...{ node, image, user, preload, sysPath, memory, cpus, network, disk },
        pids: PIDS,
        // As the image's PATH leads to it: the environment's, or a container image's own.
        python: 'python3',
        labels: { [IMAGE_LABEL]: wish.digest },
        bundles: [wish.bundle, ...wish.roots].map((each) => () => blobs.open(each)),
      },
      either,
    )
  }

  /** Removes every standby. */
  async close(): Promise<void> {
    this.#stop.abort(new Error('the service stops'))
    await Promise.allSettled(this.#coming.values())
    await Promise.all([...this.#waiting.keys()].map((id) => this.#remove(id)))
  }

  async #fill(wish: StandbyWish, key: string): Promise<void> {
    const { limits } = this.#parts
    while (this.#count(key) < limits.perImage) {
      if (wish.memory > limits.memory) return
      await this.#makeRoom(wish.memory, key)
      const standby = await this.make(wish, this.#stop.signal)
      await this.#add(standby, key, wish.memory)
    }
  }

  #count(key: string): number {
    return [...this.#waiting.values()].filter((waiting) => waiting.key === key).length
  }

  /** The oldest give way: they are of older pushes. */
  async #makeRoom(memory: number, key: string): Promise<void> {
    let held = [...this.#waiting.values()].reduce((sum, waiting) => sum + waiting.memory, 0)
    for (const [id, waiting] of this.#waiting) {
      if (held + memory <= this.#parts.limits.memory) return
      if (waiting.key === key) continue
      held -= waiting.memory
      await this.#remove(id)
    }
  }

  async #add(standby: Standby, key: string, memory: number): Promise<void> {
    const { database, node, limits, log } = this.#parts
    const id = standby.containerId
    const now = Date.now()
    const row = {
      container: id,
      node,
      key,
      state: 'ready' as const,
      memory,
      created: now,
      expires: now + limits.lifetime,
    }
    const expiry = setTimeout(() => void this.#remove(id), limits.lifetime).unref()
    this.#waiting.set(id, { standby, key, memory, expiry })
    // One that dies is of no more use to anybody.
    void standby.gone.then(() => (this.#waiting.has(id) ? this.#remove(id) : undefined))
    await database.write(({ db }) => saveStandby(db, row))
    log(`standby ${id.slice(0, 12)} is ready`)
  }

  #forget(id: string): Standby | undefined {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    clearTimeout(waiting?.expiry)
    return waiting?.standby
  }

  /** Never throws: what can't be removed now goes when the engine is back, or as a stray at the next start. */
  async #remove(id: string): Promise<void> {
    const { database, log } = this.#parts
    try {
      const standby = this.#forget(id)
      await database.write(({ db }) => removeStandby(db, id))
      await standby?.destroy()
    } catch (error) {
      log(`standby ${id.slice(0, 12)} could not be removed: ${error instanceof Error ? error.message : error}`)
    }
  }
}

function keyOfWish({ image, bundle, roots, domain, user, preload, sysPath, memory, ...rest }: StandbyWish): string {
  const { cpus, network, disk } = rest
  return keyOf('standby', image, bundle, roots, domain, user, preload, sysPath, memory, cpus, network, disk)
}
