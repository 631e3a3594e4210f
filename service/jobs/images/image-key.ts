import type { ImageRow } from '../../database/schema.ts'
import { imageKey, kinKey, lineageKey } from '../../image/keys.ts'
import { bringsPython } from '../../interpreter/spec.ts'
import type { Locked } from '../environment/ensure-lock.ts'
import type { ImageOrder } from '../environment/image-order.ts'
import { minorVersion } from '../fragments/make-order.ts'

/** What the image is known by, inside its domain. */
export function keyOfImage({ lock, base, seed, environment }: Locked): string {
  const { digest, platform } = base
  return imageKey({ lock: lock.digest, base: digest, platform, environment, seed: seed?.artifact.sha256 ?? '' })
}

/** What a delta may be made on, and what is compared where there is nothing of that kind. */
export function originOf(
  { repository, branch = '', named, spec }: ImageOrder,
  { base, probe }: Locked,
): Pick<ImageRow, 'lineage' | 'kin' | 'branch'> {
  const environment = JSON.stringify([
    spec.path,
    spec.groups ?? [],
    spec.extras ?? [],
    ...(spec['without-groups'] ?? []),
    // Other Pythons have other bases, where they are not the environment's own.
    ...(bringsPython(spec.format) ? [spec.pythonVersion ?? ''] : []),
  ])
  const lineage = lineageKey(repository, environment, base.digest)
  return { lineage, kin: kinKey(repository, named, minorVersion(probe)), branch }
}
