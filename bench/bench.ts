import { join } from 'node:path'
import type { Say } from '../machine/command.ts'
import { requirements, SMALL_VERSIONS } from './environment.ts'
import { Installation, type Pushed } from './installation.ts'
import { type ContextFiles, DockerPeer, type PeerSeconds } from './peer.ts'
import { PIP, type Recipe } from './recipes.ts'
import type { Repository } from './repository.ts'

/** What the benches share. Each part is made when the first of them asks for it, so that one alone takes no longer. */
export class Bench {
  readonly installation: Installation
  readonly say: Say
  readonly #cleanup: AsyncDisposableStack
  #peer: Promise<DockerPeer> | undefined
  #peerBake: Promise<PeerSeconds> | undefined
  #peerChange: Promise<PeerSeconds> | undefined
  #baked: Promise<{ repository: Repository; pushed: Pushed }> | undefined

  private constructor(installation: Installation, cleanup: AsyncDisposableStack, say: Say) {
    this.installation = installation
    this.#cleanup = cleanup
    this.say = say
  }

  static async create(cleanup: AsyncDisposableStack, say: Say): Promise<Bench> {
    return new Bench(await Installation.create(cleanup, say), cleanup, say)
  }

  /** The large environment from nothing, by us: no standby, so that only the image is measured. */
  baked(): Promise<{ repository: Repository; pushed: Pushed }> {
    this.#baked ??= this.#bake()
    return this.#baked
  }

  /** The usual way, ready to work. */
  peer(): Promise<DockerPeer> {
    this.#peer ??= DockerPeer.start(this.#cleanup, join(this.installation.folder, 'peer'), this.say)
    return this.#peer
  }

  /** One environment by the usual way, told as it is measured. */
  async usualWay(recipe: Recipe, files: ContextFiles): Promise<PeerSeconds> {
    const peer = await this.peer()
    this.say(`Peer: docker build with ${recipe.name}, push, pull …`)
    const seconds = await peer.bake(recipe, files)
    const { build, push, pull } = seconds
    this.say(`  build ${build.toFixed(1)} s, push ${push.toFixed(1)} s, pull ${pull.toFixed(1)} s`)
    return seconds
  }

  /** A service that knows nothing of what another bench baked, on an engine that has nothing of it. */
  async coldInstallation(settings: Record<string, string> = {}): Promise<Installation> {
    await this.installation.stop()
    await this.installation.forgetImages()
    return await Installation.create(this.#cleanup, this.say, settings)
  }

  /** The same by the peer. */
  peerBake(): Promise<PeerSeconds> {
    this.#peerBake ??= this.#usualWay(SMALL_VERSIONS[0])
    return this.#peerBake
  }

  /** The peer again, after one small package changed. */
  peerChange(): Promise<PeerSeconds> {
    this.#peerChange ??= this.peerBake().then(() => this.#usualWay(SMALL_VERSIONS[1]))
    return this.#peerChange
  }

  async #bake(): Promise<{ repository: Repository; pushed: Pushed }> {
    const service = await this.installation.service(0, this.say)
    const repository = await this.installation.repository('bench/first')
    this.say('Ours: the large environment, nothing known …')
    const pushed = await this.installation.push(service, repository, await repository.commit(requirements()))
    this.say(`  ${pushed.seconds.toFixed(1)} s (${pushed.stages})`)
    return { repository, pushed }
  }

  async #usualWay(version: string): Promise<PeerSeconds> {
    return await this.usualWay(PIP, { 'requirements.txt': requirements(version) })
  }
}
