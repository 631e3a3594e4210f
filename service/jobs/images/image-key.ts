import type { Digest } from '../../blobs/blobs.ts'
import type { ImageRow } from '../../database/schema.ts'
import { imageKey, lineageKey } from '../../image/keys.ts'
import { bringsPython } from '../../interpreter/spec.ts'
import type { Locked } from '../environment/ensure-lock.ts'
import type { ImageOrder } from '../environment/image-order.ts'

/** What the image is known by, inside its domain. */
export function keyOfImage({ lock, base, seed, environment }: Locked): string {
  const { digest, platform } = base
  return imageKey({ lock: lock.digest, base: digest, platform, environment, seed: seed?.artifact.sha256 ?? '' })
}

/** What a delta may be made on. */
export function lineageOf(
  { repository, branch, spec }: ImageOrder,
  base: Digest,
): Pick<ImageRow, 'lineage' | 'branch'> {
  const environment = JSON.stringify([
    spec.path,
    spec.groups ?? [],
    spec.extras ?? [],
    ...(spec['without-groups'] ?? []),
    // Other Pythons have other bases, where they are not the environment's own.
    ...(bringsPython(spec.format) ? [spec.pythonVersion ?? ''] : []),
  ])
  return { lineage: lineageKey(repository, environment, base), branch: branch ?? '' }
}
