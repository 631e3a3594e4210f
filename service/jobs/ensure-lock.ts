import { createHash } from 'node:crypto'
import { readJson } from '../blobs/read-json.ts'
import type { Builder } from '../builder/builder.ts'
import { findLock, saveLock } from '../database/known.ts'
import type { Fetcher } from '../fetch/fetcher.ts'
import { condaProbe, pythonOf } from '../interpreter/conda.ts'
import { isOnImage } from '../interpreter/formats/container.ts'
import type { Artifact, Lock } from '../interpreter/lock.ts'
import { lockKey } from '../interpreter/lock-key.ts'
import type { InterpreterSpec } from '../interpreter/spec.ts'
import { type Domain, readable } from '../policy/domain.ts'
import { type BaseParts, type PreparedBase, prepareBase } from './ensure-base.ts'
import type { Journal } from './journal.ts'
import { downloadOf } from './make-order.ts'
import { type ProjectCode, pinSources } from './pin-sources.ts'

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

/** Gives the lock of a spec. */
export type EnsureLock = (
  order: { domain: Domain; spec: InterpreterSpec; code?: ProjectCode },
  context: { journal: Journal; signal: AbortSignal },
) => Promise<Locked>

/** What locking needs. */
export interface LockParts extends BaseParts {
  builder: Builder
  fetcher: Fetcher
  /** What stands for the configured index in a lock's key. */
  index: string
}

/** Base, probe and lock of a spec; each is asked for once and then known. */
export function lockWith(parts: LockParts): EnsureLock {
  return async ({ domain, spec: asked, code }, { journal, signal }) => {
    const { plain, ...prepared } = await prepareBase(parts, { domain, spec: asked }, { journal, signal })
    const { base, probe } = prepared
    const spec = isOnImage(asked) ? { ...asked, imageDigest: plain.digest } : asked
    const key = lockKey(spec, probe, base.platform, parts.index)
    const known = await findLock(parts.database.state, readable(domain), key)
    if (known !== undefined && (await parts.blobs.size(known.lock)) !== undefined) {
      const lock = await readJson<Lock>(parts.blobs, known.lock)
      return lockedOn(prepared, await pinSources(lock, code))
    }
    const lock = await journal.stage(
      'resolve',
      async () => {
        const report = (line: string) => journal.note(line)
        const resolved = await parts.builder.resolve(base, spec, probe, { signal, report, domain })
        return await withHashes(parts.fetcher, resolved, signal)
      },
      ({ artifacts }) => ({ detail: `${artifacts.length} packages` }),
    )
    const { digest } = await parts.blobs.put(Buffer.from(JSON.stringify(lock)))
    await parts.database.write(({ db }) => saveLock(db, { domain, key, lock: digest, created: Date.now() }))
    return lockedOn(prepared, await pinSources(lock, code))
  }
}

/** A conda environment has a Python of its own. */
function lockedOn(prepared: PreparedBase, lock: Lock): Locked {
  const { probe } = prepared
  return { ...prepared, lock, probe: lock.conda ? condaProbe(probe, pythonOf(lock)) : probe }
}

/**
 * A lock whose every downloaded artifact has a hash. One that has none (a direct URL without `#sha256=`) is fetched once; its
 * hash becomes part of the lock, so that what is installed later is the same.
 */
async function withHashes(fetcher: Fetcher, lock: Lock, signal: AbortSignal): Promise<Lock> {
  let { text } = lock
  const artifacts: Artifact[] = []
  for (const artifact of lock.artifacts) {
    if (artifact.sha256 !== undefined || artifact.url === undefined || artifact.kind === 'vcs') {
      artifacts.push(artifact)
      continue
    }
    await using fetched = await fetcher.fetch(downloadOf(artifact), { signal })
    artifacts.push({ ...artifact, sha256: fetched.sha256 })
    text += `# ${artifact.name} ${artifact.version}: sha256 ${fetched.sha256}, when it was first fetched\n`
  }
  if (text === lock.text) return lock
  return { ...lock, text, artifacts, digest: `sha256:${createHash('sha256').update(text).digest('hex')}` }
}
