import type { Engine, NetworkClass } from '../engine/engine.ts'

/** What a builder container may use up. */
export interface BuilderLimits {
  /** Bytes of memory. */
  memory: number
  cpus: number
  /** Processes and threads. */
  pids: number
  /** Bytes written to its own file system. */
  disk: number
  /** Milliseconds that a step may take. */
  timeout: number
}

export const DEFAULT_LIMITS: BuilderLimits = {
  memory: 4 * 2 ** 30,
  cpus: 2,
  pids: 1024,
  disk: 20 * 2 ** 30,
  timeout: 30 * 60_000,
}

/** What every step needs of its surroundings. */
export interface BuilderContext {
  engine: Engine
  /** Brings an image, by its reference, to where the engine finds it. */
  pull: (reference: string, signal: AbortSignal) => Promise<void>
  /** Label `run.meadow.node` of every container. */
  node: string
  /** What steps that need the index may reach; those that don't have no network. */
  network: NetworkClass
  limits: BuilderLimits
  /** PEM certificates of further authorities. */
  caBundle?: string
  /** The index; the tools' own default where it is not set. */
  indexUrl?: string
}

/** A builder container came to a limit. */
export class LimitReached extends Error {
  override name = 'LimitReached'
  readonly limit: keyof typeof SAID
  readonly hint: string
  constructor(step: string, limit: keyof typeof SAID, limits: BuilderLimits) {
    const [say, setting] = SAID[limit]
    super(`${step} needed more than ${say(limits[limit])}`)
    this.limit = limit
    this.hint = `Raise ${setting} on the service, or ask for fewer or smaller packages.`
  }
}

const mebibytes = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`
const SAID = {
  memory: [(bytes: number) => `${mebibytes(bytes)} of memory`, 'MEADOW_BUILD_MEMORY'],
  disk: [(bytes: number) => `${mebibytes(bytes)} of disk`, 'MEADOW_BUILD_DISK'],
  timeout: [(ms: number) => `${Math.round(ms / 1000)} seconds`, 'MEADOW_BUILD_TIMEOUT'],
} as const
