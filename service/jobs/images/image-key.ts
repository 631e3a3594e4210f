import type { Digest } from '../../blobs/blobs.ts'
import type { ImageRow } from '../../database/schema.ts'
import { imageKey, lineageKey } from '../../image/keys.ts'
import type { Artifact } from '../../interpreter/lock.ts'
import type { Locked } from '../environment/ensure-lock.ts'
import type { ImageOrder, WheelsHere } from '../environment/image-order.ts'

/** What goes into the image: the lock's packages, and pip. */
export function installed({ lock, seed }: Locked): Artifact[] {
  return seed ? [...lock.artifacts, seed.artifact] : lock.artifacts
}

/** The order's own wheels, and the pip that it is given. */
export function localWheels({ local }: ImageOrder, { seed }: Locked): WheelsHere | undefined {
  if (seed === undefined) return local
  const { filename, sha256, size = 0 } = seed.artifact
  return new Map([...(local ?? []), [filename, { file: seed.file, sha256, size }]])
}

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
  const environment = JSON.stringify([spec.path, spec.groups ?? [], spec.extras ?? []])
  return { lineage: lineageKey(repository, environment, base), branch: branch ?? '' }
}
