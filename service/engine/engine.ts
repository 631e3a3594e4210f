import type { Readable, Writable } from 'node:stream'

/** What a container may reach: nothing, the internet without private addresses, or all that the node can. */
export type NetworkClass = 'none' | 'internet' | 'open'

/** A container to be made. Nothing in here may be secret: engines keep it readable. */
export interface ContainerSpec {
  /** An image that `pull` brought: `host/repository@sha256:…`. */
  image: string
  command: string[]
  env: Record<string, string>
  /** `uid` or `uid:gid`; the image's own user where it is not set. */
  user?: string
  workdir?: string
  labels: Record<string, string>
  /** Bytes. */
  memory: number
  /** How many CPUs' worth of time, fractions allowed. */
  cpus: number
  /** Most processes and threads. */
  pids: number
  network: NetworkClass
  /** Capabilities that root keeps, as Linux names them without `CAP_`: only for builders. */
  capabilities?: string[]
  /** Most bytes that the container may write to its own file system. */
  disk: number
  /**
   * Whether stdin outlives an attachment, so that a later one can go on writing. Without it the end of the first
   * attachment's stdin is the end of the file.
   */
  keepStdin?: boolean
}

/** How a container's first process ended. */
export interface Exit {
  exitCode: number
  /** The kernel killed it because it wanted more memory than its limit. */
  oom: boolean
}

/** The streams of a container's first process. */
export interface Attachment {
  stdin: Writable
  stdout: Readable
  stderr: Readable
  /** Lets go of the streams; the process goes on. */
  close(): void
}

/** A container that exists. Whoever made it removes it. */
export interface Container {
  readonly id: string
  /**
   * Unpacks a tar (plain or gzip) at a folder of the container; it need not run.
   * @throws {DiskFull} when it does not fit
   */
  put(tar: Readable, folder: string): Promise<void>
  /** A tar of a file or folder of the container; it need not run. */
  get(path: string): Promise<Readable>
  /** Attach before `start`, or what is printed until then is lost. A slow reader slows the container. */
  attach(): Promise<Attachment>
  start(): Promise<void>
  /** Resolves when its first process has ended; at once where it has already. Start it before, there is no time limit. */
  wait(signal?: AbortSignal): Promise<Exit>
  /** No error where it has ended. */
  kill(signal: 'SIGTERM' | 'SIGKILL' | 'SIGINT'): Promise<void>
  /** Bytes that it has written to its own file system. The engine walks all of its files for the answer. */
  diskUsed(): Promise<number>
  /** Kills it where it runs and removes it; no error where it is gone. Where the engine is away, it goes once that is back. */
  remove(): Promise<void>
}

/** A container that was found by its labels. */
export interface FoundContainer {
  id: string
  labels: Record<string, string>
  running: boolean
}

/** Progress of a pull. */
export interface PullProgress {
  layersDone: number
  layersTotal: number
}

/** What the engine's machine has. */
export interface EngineInfo {
  version: string
  /** OCI platform, for example `linux/amd64`. */
  platform: string
  /** Bytes. */
  memory: number
  cpus: number
  /** The network classes that it can enforce. */
  networks: NetworkClass[]
}

/**
 * Where containers live: Docker here, others by one more file. Every call has a time limit of its own, and throws
 * `EngineUnavailable`, `ContainerMissing`, `DiskFull` or `EngineRefused`.
 */
export interface Engine {
  /** @throws {EngineUnavailable} when nobody answers */
  info(): Promise<EngineInfo>
  /**
   * Brings an image from a registry.
   * @throws {EngineUnavailable} when the engine goes away
   * @throws {PullFailed} when the registry or the engine refuses
   */
  pull(image: string, options: PullOptions): Promise<void>
  hasImage(image: string): Promise<boolean>
  /** Removes an image; one that a container uses, when no container does any more. */
  removeImage(image: string): Promise<void>
  create(spec: ContainerSpec): Promise<Container>
  /** A container that this or an earlier process made. */
  container(id: string): Container
  /** The containers that carry all of these labels. */
  find(labels: Record<string, string>): Promise<FoundContainer[]>
  /** Lets go of connections. */
  close(): Promise<void>
}

export interface PullOptions {
  credential?: { username: string; password: string }
  onProgress?: (progress: PullProgress) => void
  signal?: AbortSignal
}

/** The engine does not answer. Work that meets it is tried again later. */
export class EngineUnavailable extends Error {
  override name = 'EngineUnavailable'
}

/** An image could not be brought. */
export class PullFailed extends Error {
  override name = 'PullFailed'
}

/** The engine's disk is full. */
export class DiskFull extends Error {
  override name = 'DiskFull'
}

/** There is no container of this id. */
export class ContainerMissing extends Error {
  override name = 'ContainerMissing'
}

/** The engine answered that it will not do it. */
export class EngineRefused extends Error {
  override name = 'EngineRefused'
}
