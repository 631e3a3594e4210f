import type { Builder } from '../../builder/builder.ts'
import type { Fetcher } from '../../fetch/fetcher.ts'
import { condaProbe, pythonOf } from '../../interpreter/conda.ts'
import { isOnImage } from '../../interpreter/formats/container.ts'
import type { Artifact, Lock } from '../../interpreter/lock.ts'
import { lockKey } from '../../interpreter/lock-key.ts'
import { bringsPython } from '../../interpreter/spec.ts'
import type { GitDependencies } from '../../source/git-dependencies.ts'
import { reporting, type WorkContext } from '../events/journal.ts'
import { type CondaGround, withPip } from './conda-pip.ts'
import { pinnedWithCopies } from './copies.ts'
import { type BaseParts, type PreparedBase, prepareBase } from './ensure-base.ts'
import type { FirstFetches } from './first-fetches.ts'
import type { ImageOrder } from './image-order.ts'
import { findKept, keep } from './kept.ts'
import { withHashes } from './lock-hashes.ts'

/** The pip that environments without one are given. */
export interface Seed {
  artifact: Artifact & { sha256: string }
  /** Its wheel on this machine. */
  file: string
}

/** A lock with the base that it was made for. */
export interface Locked extends PreparedBase {
  lock: Lock
  /** The pip that the environment is given, where the lock has none. */
  seed?: Seed
  /** What activating the environment sets, where that is known and it is a conda environment. */
  active?: Record<string, string>
}

/** Gives the lock of a spec, and keeps what it has to fetch for that. */
export type EnsureLock = (order: ImageOrder & { fetched: FirstFetches }, context: WorkContext) => Promise<Locked>

/** What locking needs. */
export interface LockParts extends BaseParts {
  builder: Builder
  fetcher: Fetcher
  gitDependencies: GitDependencies
  /** What stands for the configured index in a lock's key. */
  index: string
  /** Likewise for the conda channels. */
  channels: string
  /** Makes the packages of a conda environment, on top of which pip installs. */
  ground: (order: ImageOrder, locked: Locked, context: WorkContext) => Promise<CondaGround>
}

/** Base, probe and lock of a spec; each is asked for once and then known. */
export function lockWith(parts: LockParts): EnsureLock {
  return async (order, context) => {
    const { journal, signal } = context
    const { domain, spec: asked, code } = order
    const { plain, ...prepared } = await prepareBase(parts, { domain, spec: asked }, context)
    const { base, probe } = prepared
    const spec = isOnImage(asked) ? { ...asked, imageDigest: plain.digest } : asked
    const index = bringsPython(spec.format) ? `${parts.index} ${parts.channels}` : parts.index
    const key = lockKey(spec, probe, base.platform, index)
    const known = await findKept<Lock>(parts, domain, key)
    const pinned = (lock: Lock) => pinnedWithCopies(parts, { lock, base }, order, journal)
    if (known !== undefined) return lockedOn(prepared, await pinned(known))
    const lock = await journal.stage(
      'resolve',
      async () => {
        const options = { ...reporting(context), domain, git: parts.gitDependencies, code: code?.tree }
        const resolved = await parts.builder.resolve(base, spec, probe, options)
        const keeping = { fetched: order.fetched, signal }
        const hashed = await withHashes(parts.fetcher, resolved, keeping)
        if (!hashed.conda?.pip.length) return hashed
        const locked = lockedOn(prepared, hashed)
        const ground = await parts.ground(order, locked, context)
        const of = { lock: hashed, spec, probe: locked.probe }
        try {
          return await withHashes(parts.fetcher, await withPip(parts.builder, of, ground, options), keeping)
        } catch (error) {
          await ground.abandon()
          throw error
        }
      },
      ({ artifacts }) => ({ detail: `${artifacts.length} packages` }),
    )
    await keep(parts, domain, [key], lock)
    return lockedOn(prepared, await pinned(lock))
  }
}

/** A conda environment has a Python of its own. */
function lockedOn(prepared: PreparedBase, lock: Lock): Locked {
  const { probe } = prepared
  return { ...prepared, lock, probe: lock.conda ? condaProbe(probe, pythonOf(lock)) : probe }
}
