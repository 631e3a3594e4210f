import type { RunRequest, RunShape } from '../../../common/contract.ts'
import { PassingError } from '../../../common/hinted-error.ts'
import type { Digest } from '../../blobs/blobs.ts'
import type { Database } from '../../database/database.ts'
import { imageByDigest } from '../../database/known.ts'
import type { BuildRow } from '../../database/schema.ts'
import type { NetworkClass } from '../../engine/engine.ts'
import { effectiveNetwork } from '../../engine/network-class.ts'
import { type Domain, isTrusted, readable } from '../../policy/domain.ts'
import type { ImageStore } from '../images/image-store.ts'
import type { StandbyWish } from './standby-pool.ts'
import { preloadPath } from './task.ts'

/** What a run gets where it asks for nothing else. Sizes in bytes. */
export interface RunDefaults {
  memory: number
  cpus: number
  disk: number
}

/** What a run or a standby of a build needs of this node. */
export interface WishAsked {
  build: BuildRow
  domain: Domain
  bundle: Digest
  /** Bundles of further roots. */
  roots?: Digest[] | undefined
  request: RunShape & Pick<RunRequest, 'mirror'>
}

/** Turns builds into wishes for standbys: a run finds the standby of its push if both ask in the same way. */
export class Wishes {
  readonly #database: Database
  readonly #images: ImageStore
  readonly #defaults: RunDefaults
  readonly #networks: NetworkClass[]

  /** @param networks the classes that the engine can enforce */
  constructor(database: Database, images: ImageStore, defaults: RunDefaults, networks: NetworkClass[]) {
    this.#database = database
    this.#images = images
    this.#defaults = defaults
    this.#networks = networks
  }

  /** What a request takes of the node. */
  need(request: Pick<RunRequest, 'memory' | 'cpus'>): { memory: number; cpus: number } {
    return { memory: request.memory ?? this.#defaults.memory, cpus: request.cpus ?? this.#defaults.cpus }
  }

  /** @returns the wish, and a warning for the user where the network is not the one that was asked for */
  async of({ build, domain, bundle, roots, request }: WishAsked): Promise<{ wish: StandbyWish; warning?: string }> {
    const image = build.image && (await imageByDigest(this.#database.state, readable(domain), build.image))
    // It may have been cleaned up a moment ago: then it is built anew.
    if (!image) throw new PassingError(`build ${build.id} has no image that ${domain} may use`, 'Run it again.', true)
    await this.#images.use(image)
    const trusted = isTrusted(domain)
    // Code that is not the repository's own reaches nothing, whatever it asks for.
    const wanted = trusted ? (request.network ?? 'internet') : 'none'
    const { network, warning } = effectiveNetwork(wanted, trusted, this.#networks)
    const wish: StandbyWish = {
      image: this.#images.reference(image),
      digest: image.digest,
      bundle,
      roots: roots ?? [],
      domain,
      user: image.user,
      preload: request.preload,
      sysPath: request.preload.length > 0 ? preloadPath(request) : undefined,
      ...this.need(request),
      network,
      disk: this.#defaults.disk,
    }
    return warning === undefined ? { wish } : { wish, warning }
  }
}
