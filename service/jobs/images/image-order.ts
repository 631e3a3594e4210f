import type { Digest } from '../../blobs/blobs.ts'
import type { ImageRow } from '../../database/schema.ts'
import { imageKey, lineageKey } from '../../image/keys.ts'
import type { Artifact } from '../../interpreter/lock.ts'
import type { InterpreterSpec } from '../../interpreter/spec.ts'
import type { Domain } from '../../policy/domain.ts'
import type { Locked } from '../environment/ensure-lock.ts'
import type { ProjectCode } from '../environment/pin-sources.ts'
import type { MakeOrder } from '../fragments/make-order.ts'

/** An image that somebody wants. */
export interface ImageOrder {
  domain: Domain
  /** The repository's id. */
  repository: string
  /** Where the commit was pushed to: a delta builds on this branch's newest image, else on the repository's. */
  branch: string | undefined
  spec: InterpreterSpec
  /** The code of the commit: what the lock's paths lie in. Absent where it can have none. */
  code?: ProjectCode
  /** Wheels that are on this machine already, by their names. */
  local?: MakeOrder['local']
}

/** What goes into the image: the lock's packages, and pip. */
export function installed({ lock, seed }: Locked): Artifact[] {
  return seed ? [...lock.artifacts, seed.artifact] : lock.artifacts
}

/** The order's own wheels, and the pip that it is given. */
export function localWheels({ local }: ImageOrder, { seed }: Locked): MakeOrder['local'] {
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
