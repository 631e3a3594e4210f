import type { CacheAccount, Verdict } from '../../../common/events.ts'
import type { BuildRow, ImageRow } from '../../database/schema.ts'
import type { Plan } from '../../image/layer-plan.ts'
import type { Lock } from '../../interpreter/lock.ts'
import { type Askers, type Before, lockDiff } from '../../interpreter/lock-diff.ts'
import type { Made } from '../fragments/make-order.ts'
import type { StoredImage } from './image-store.ts'

/** What making an image knows of its account. */
export type ImageAccount = Omit<CacheAccount, 'environment'>

/** Clashes that are named; the rest is counted. */
const NAMED = 3

/** The account of an image that was there. @param waited whether another build made it meanwhile */
export function knownAccount({ row, lock, layout }: StoredImage, waited: boolean): ImageAccount {
  return {
    verdict: waited ? 'joined' : 'hit',
    reason: waited ? 'another build was making this very image' : 'an image of this lock was there',
    packages: [],
    'packages-new': 0,
    'bytes-reused': layout.layers.reduce((sum, { layer }) => sum + layer.size, 0),
    'bytes-transferred': 0,
    image: row.digest,
    ...aboutLock(lock),
  }
}

/** The account of an image that was made. */
export function madeAccount(
  row: ImageRow,
  lock: Lock,
  made: Made,
  { before, askers }: { before: Before | undefined; askers: Askers },
): ImageAccount {
  const total = made.artifacts.length
  const verdict: Verdict = made.fresh.size === total ? 'miss' : 'partial'
  const { packages, sentence } = lockDiff(before, lock, askers)
  const isImage = total === 0
  return {
    verdict,
    reason: isImage
      ? 'no code was run in this image before'
      : `${made.fresh.size} of ${total} packages had to be made: ${sentence}`,
    packages,
    'packages-new': made.fresh.size,
    'bytes-reused': made.bytesReused,
    'bytes-transferred': made.bytesTransferred,
    image: row.digest,
    ...aboutLock(lock),
  }
}

/** The account of a run whose image was there before it asked. */
export function hitAccount(build: BuildRow): CacheAccount {
  const account = JSON.parse(build.cache ?? '{}') as CacheAccount
  return {
    ...account,
    verdict: 'hit',
    reason: 'the image of this commit and environment was there before the run',
    'packages-new': 0,
    'bytes-reused': account['bytes-reused'] + account['bytes-transferred'],
    'bytes-transferred': 0,
  }
}

/** What the log says of an environment's origin. */
export function environmentLine(environment: CacheAccount['environment']): string {
  return `environment: ${environment}`
}

/** One line on how an image was laid out. */
export function describePlan({ kind, parentUnfit, clashes }: Plan): string {
  const fresh = parentUnfit ? `laid out fresh, as ${parentUnfit}` : 'laid out fresh'
  const hidden = clashes.filter(({ identical }) => !identical)
  const said = hidden
    .slice(0, NAMED)
    .map(({ path, winner, losers }) => `${path} of ${winner} hides ${losers.join(', ')}'s`)
  const more = hidden.length > NAMED ? [`${hidden.length - NAMED} more paths have several owners`] : []
  return [kind === 'delta' ? 'a delta on the last image' : fresh, ...said, ...more].join('; ')
}

function aboutLock({ resolvedAt, unpinned }: Lock): Pick<CacheAccount, 'resolved' | 'unpinned'> {
  return { resolved: new Date(resolvedAt).toISOString(), unpinned }
}
