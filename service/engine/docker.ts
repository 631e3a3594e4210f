import type Docker from 'dockerode'
import { type DockerAddress, DockerConnection } from './docker-connection.ts'
import { DockerContainer } from './docker-container.ts'
import { answered } from './docker-errors.ts'
import { pullImage } from './docker-pull.ts'
import { DockerRemovals } from './docker-removals.ts'
import {
  type Container,
  type ContainerSpec,
  type Engine,
  type EngineInfo,
  EngineRefused,
  type FoundContainer,
  type PullOptions,
} from './engine.ts'
import { DockerNetworks } from './network.ts'

const CALL_LIMIT = 10_000
const CREATE_LIMIT = 60_000
const REMOVE_AGAIN = 5000

export interface DockerOptions extends DockerAddress {
  /** Prefix of the names of networks, bridges (`…-inet`) and firewall chains: at most 8 lower-case letters. Default: `meadow`. */
  networkPrefix?: string
  /** What containers of class `internet` may reach although it may be private. */
  reachable?: URL[]
  /** Milliseconds between attempts to remove containers that were left while the engine was away. Default: 5000. */
  removeAgain?: number
}

/** A Docker Engine, 20.10 or later. */
export class DockerEngine implements Engine {
  readonly #connection: DockerConnection
  readonly #networks: DockerNetworks
  readonly #removals: DockerRemovals
  /** Whether the storage driver can limit the size of a container; undefined until it was asked. */
  #sizeLimit: boolean | undefined

  constructor(options: DockerOptions) {
    this.#connection = new DockerConnection(options)
    this.#networks = new DockerNetworks(this.#connection, options.networkPrefix ?? 'meadow', options.reachable ?? [])
    this.#removals = new DockerRemovals(this.#connection, options.removeAgain ?? REMOVE_AGAIN)
  }

  async info(): Promise<EngineInfo> {
    const info = await this.#connection.call('ask for info', CALL_LIMIT, (docker, abortSignal) =>
      docker.info({ abortSignal }),
    )
    return {
      version: info.ServerVersion,
      platform: `${info.OSType}/${architecture(info.Architecture)}`,
      memory: info.MemTotal,
      cpus: info.NCPU,
      networks: await this.#networks.classes(),
    }
  }

  async pull(image: string, options: PullOptions): Promise<void> {
    await pullImage(this.#connection, image, options)
  }

  async hasImage(image: string): Promise<boolean> {
    return this.#connection.call(`inspect image ${image}`, CALL_LIMIT, async (docker) => {
      try {
        await docker.getImage(image).inspect()
        return true
      } catch (error) {
        if (answered(error, 404)) return false
        throw error
      }
    })
  }

  async removeImage(image: string): Promise<void> {
    await this.#removals.removeImage(image)
  }

  async create(spec: ContainerSpec): Promise<Container> {
    const network = await this.#networks.ensure(spec.network)
    const create = (options: Docker.ContainerCreateOptions) =>
      this.#connection.call(`create a container of ${spec.image}`, CREATE_LIMIT, async (docker, abortSignal) => {
        const { id } = await docker.createContainer({ ...options, abortSignal })
        return new DockerContainer(this.#connection, this.#removals, id)
      })
    const plain = createOptions(spec, network)
    if (this.#sizeLimit === false) return create(plain)
    const limited = { ...plain, HostConfig: { ...plain.HostConfig, StorageOpt: { size: String(spec.disk) } } }
    try {
      const container = await create(limited)
      this.#sizeLimit = true
      return container
    } catch (error) {
      if (!(error instanceof EngineRefused) || !/storage-opt|StorageOpt|pquota/i.test(error.message)) throw error
      this.#sizeLimit = false
      return create(plain)
    }
  }

  container(id: string): Container {
    return new DockerContainer(this.#connection, this.#removals, id)
  }

  async find(labels: Record<string, string>): Promise<FoundContainer[]> {
    const label = Object.entries(labels).map(([name, value]) => `${name}=${value}`)
    const found = await this.#connection.call('list containers', CALL_LIMIT, (docker, abortSignal) =>
      docker.listContainers({ all: true, filters: { label }, abortSignal }),
    )
    return found.map(({ Id, Labels, State }) => ({ id: Id, labels: Labels, running: State === 'running' }))
  }

  async close(): Promise<void> {
    await this.#removals.close()
    this.#connection.close()
  }

  /** Removes the networks and firewall rules that it made on the machine. No container may be on them. */
  async removeNetworks(): Promise<void> {
    await this.#networks.remove()
  }
}

/** Connects to nothing yet; the first call does. */
export function dockerEngine(options: DockerOptions = {}): DockerEngine {
  return new DockerEngine(options)
}

function createOptions(spec: ContainerSpec, network: string): Docker.ContainerCreateOptions {
  return {
    Image: spec.image,
    Entrypoint: spec.command,
    Cmd: [],
    Env: Object.entries(spec.env).map(([name, value]) => `${name}=${value}`),
    ...(spec.user === undefined ? {} : { User: spec.user }),
    ...(spec.workdir === undefined ? {} : { WorkingDir: spec.workdir }),
    Labels: spec.labels,
    OpenStdin: true,
    StdinOnce: !spec.keepStdin,
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
    Healthcheck: { Test: ['NONE'] },
    HostConfig: {
      NetworkMode: network,
      // Output never lies on the node in clear.
      LogConfig: { Type: 'none', Config: {} },
      SecurityOpt: ['no-new-privileges'],
      // Root too then writes only where it is the owner.
      CapDrop: ['ALL'],
      ...(spec.capabilities && { CapAdd: spec.capabilities }),
      PidsLimit: spec.pids,
      Memory: spec.memory,
      MemorySwap: spec.memory,
      NanoCpus: Math.round(spec.cpus * 1e9),
      ShmSize: Math.floor(spec.memory / 2),
    },
  }
}

/** Docker says what `uname -m` says, OCI what Go calls it. */
function architecture(machine: string): string {
  return { x86_64: 'amd64', aarch64: 'arm64', armv7l: 'arm' }[machine] ?? machine
}
