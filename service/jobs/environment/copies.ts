import type { NotEditable } from '../../builder/builder.ts'
import type { BaseImage } from '../../image/base.ts'
import { keyOf } from '../../image/keys.ts'
import type { Artifact, Lock } from '../../interpreter/lock.ts'
import type { Domain } from '../../policy/domain.ts'
import type { Journal } from '../events/journal.ts'
import type { ImageOrder } from './image-order.ts'
import { findKept, type KeptParts, keep } from './kept.ts'
import { pinSources } from './pin-sources.ts'

/** A lock, and the base that its projects are built in. */
interface LockOnBase {
  lock: Lock
  base: BaseImage
}

/**
 * A lock as it is for one commit, with copies of projects whose editable install was found not to work in a run; says
 * which, and why. A copy is known by all files of its folder.
 * @throws {LocalSourceFailed}
 */
export async function pinnedWithCopies(
  parts: KeptParts,
  { lock, base }: LockOnBase,
  { domain, code }: Pick<ImageOrder, 'domain' | 'code'>,
  journal: Pick<Journal, 'note'>,
): Promise<Lock> {
  const pinned = await pinSources(lock, code)
  const copied = new Set<string>()
  for (const artifact of pinned.artifacts.filter(({ editable }) => editable)) {
    const why = await findKept<string>(parts, domain, copyKey(artifact, base))
    if (why === undefined) continue
    copied.add(artifact.name)
    journal.note(`${artifact.name} is a copy, made again whenever a file of its folder changes: ${why}`)
  }
  if (copied.size === 0) return pinned
  const artifacts = lock.artifacts.map(({ editable, ...artifact }) =>
    editable && !copied.has(artifact.name) ? { ...artifact, editable } : artifact,
  )
  return await pinSources({ ...lock, artifacts }, code)
}

/**
 * Remembers that a project can't be editable.
 * @returns whether it is an editable one of the lock
 */
export async function keepAsCopy(
  parts: KeptParts,
  domain: Domain,
  { lock, base }: LockOnBase,
  { package: name, why }: NotEditable,
): Promise<boolean> {
  const artifact = lock.artifacts.find((each) => each.name === name && each.editable)
  if (artifact === undefined) return false
  await keep(parts, domain, [copyKey(artifact, base)], why)
  return true
}

/** By what describes the project, and where it is built. */
function copyKey({ name, sha256 }: Artifact, base: BaseImage): string {
  return keyOf('no editable install', name, sha256, base.digest)
}
