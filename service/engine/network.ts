import { access } from 'node:fs/promises'
import type { DockerConnection } from './docker-connection.ts'
import { answered } from './docker-errors.ts'
import { endpointsOf, hostNameServers, installEgressRules, removeEgressRules } from './egress-rules.ts'
import { EngineRefused, type NetworkClass } from './engine.ts'

const CALL_LIMIT = 10_000
const CREATE_LIMIT = 60_000
/** A firewall that is loaded anew forgets our rules: they are put right this often, when a container is made. */
const RULES_FRESH = 10_000

/** Docker's networks for the classes `internet` and `open`: bridges on which containers can't talk to each other. */
export class DockerNetworks {
  readonly #connection: DockerConnection
  readonly #prefix: string
  readonly #reachable: URL[]
  /** Why `internet` can't be enforced; undefined where it is. */
  #checked: { until: number; obstacle: Promise<string | undefined> } | undefined

  /**
   * @param prefix of the names of networks, interfaces and chains: at most 8 lower-case letters
   * @param reachable what `internet` may reach, private or not
   */
  constructor(connection: DockerConnection, prefix: string, reachable: URL[]) {
    this.#connection = connection
    this.#prefix = prefix
    this.#reachable = reachable
  }

  /** The classes that can be enforced here. */
  async classes(): Promise<NetworkClass[]> {
    return (await this.#obstacle()) === undefined ? ['none', 'internet', 'open'] : ['none', 'open']
  }

  /**
   * The name of a class's network, made where it is missing.
   * @throws {EngineRefused} when the class can't be enforced here
   */
  async ensure(network: NetworkClass): Promise<string> {
    if (network === 'none') return 'none'
    if (network === 'open') return this.#bridge('open')
    const obstacle = await this.#obstacle()
    if (obstacle === undefined) return this.#name('internet')
    const needs = 'it needs root and iptables on the machine of the engine; ask for none or open'
    throw new EngineRefused(`network internet cannot be enforced (${obstacle}): ${needs}`)
  }

  /** Removes networks and rules. Nothing may be running on them. */
  async remove(): Promise<void> {
    this.#checked = undefined
    await removeEgressRules({ bridge: this.#interface('internet'), prefix: this.#prefix.toUpperCase() })
    for (const network of ['internet', 'open'] as const) {
      await this.#connection.call(`remove network ${network}`, CALL_LIMIT, async (docker, abortSignal) => {
        await docker
          .getNetwork(this.#name(network))
          .remove({ abortSignal })
          .catch((error: unknown) => {
            if (!answered(error, 404)) throw error
          })
      })
    }
  }

  #obstacle(): Promise<string | undefined> {
    if (!this.#checked || this.#checked.until < performance.now()) {
      const obstacle = this.#install()
      this.#checked = { until: performance.now() + RULES_FRESH, obstacle }
      obstacle.catch(() => {
        this.#checked = undefined
      })
    }
    return this.#checked.obstacle
  }

  async #install(): Promise<string | undefined> {
    await this.#bridge('internet')
    const bridge = this.#interface('internet')
    const here = await access(`/sys/class/net/${bridge}`).then(
      () => true,
      () => false,
    )
    if (!here) return `${bridge} is not on this machine`
    const reachable = (await Promise.all(this.#reachable.map(endpointsOf))).flat()
    const options = { bridge, prefix: this.#prefix.toUpperCase(), nameServers: await hostNameServers(), reachable }
    return installEgressRules(options).then(
      () => undefined,
      (error: Error) => error.message.trim(),
    )
  }

  /** Makes a bridge where it is missing; of two makers at once one fails, because both name the interface. */
  async #bridge(network: 'internet' | 'open'): Promise<string> {
    const name = this.#name(network)
    if (await this.#exists(name)) return name
    try {
      await this.#connection.call(`create network ${name}`, CREATE_LIMIT, (docker, abortSignal) =>
        docker.createNetwork({
          Name: name,
          Driver: 'bridge',
          EnableIPv6: false,
          Options: {
            'com.docker.network.bridge.name': this.#interface(network),
            'com.docker.network.bridge.enable_icc': 'false',
          },
          Labels: { 'run.meadow.network': network },
          abortSignal,
        }),
      )
    } catch (error) {
      if (!(error instanceof EngineRefused) || !(await this.#exists(name))) throw error
    }
    return name
  }

  async #exists(name: string): Promise<boolean> {
    const found = await this.#connection.call('list networks', CALL_LIMIT, (docker, abortSignal) =>
      docker.listNetworks({ filters: { name: [name] }, abortSignal }),
    )
    // The filter takes parts of names too.
    return found.some((network) => network.Name === name)
  }

  #name(network: 'internet' | 'open'): string {
    return `${this.#prefix}-${network}`
  }

  /** Linux allows 15 characters. */
  #interface(network: 'internet' | 'open'): string {
    return `${this.#prefix}-${network === 'internet' ? 'inet' : 'open'}`
  }
}
