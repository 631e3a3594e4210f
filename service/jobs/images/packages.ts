import type { Artifact } from '../../interpreter/lock.ts'
import type { Locked } from '../environment/ensure-lock.ts'
import type { ImageOrder, WheelsHere } from '../environment/image-order.ts'
import { reporting, type WorkContext } from '../events/journal.ts'
import { knownFiles, makeFragments } from '../fragments/make-fragments.ts'
import type { Made, MakeOrder } from '../fragments/make-order.ts'
import { located } from '../fragments/package-failed.ts'
import { askersOf } from './askers.ts'
import type { ImageParts } from './image-parts.ts'

/** What goes into the image: the lock's packages, and pip. */
export function installed({ lock, seed }: Locked): Artifact[] {
  return seed ? [...lock.artifacts, seed.artifact] : lock.artifacts
}

/**
 * The fragments of an image's packages: fetches, transcodes, builds and compiles what is not known.
 * @param special what is other than for all packages of a virtual environment
 * @param before some of them, whose files are made already
 */
export async function makePackages(
  parts: ImageParts,
  { order, locked }: { order: ImageOrder; locked: Locked },
  context: WorkContext,
  special: Partial<MakeOrder> = {},
  before?: Made,
): Promise<Made> {
  const { journal } = context
  const { base, compileBase, probe } = locked
  const artifacts = special.artifacts ?? installed(locked)
  const total = artifacts.length
  const makeOrder: MakeOrder = {
    ...{ artifacts, base, compileBase, probe, domain: order.domain, code: order.code },
    local: localWheels(order, locked),
    fetched: order.fetched,
    isPublic: parts.isPublic,
    operatorBase: parts.isOperatorBase(compileBase.name),
    ...reporting(context),
    progress: (done) => journal.tell({ kind: 'progress', what: 'packages', done, total }),
    ...special,
  }
  const explain = async (error: unknown): Promise<never> => {
    throw await located(error, order.spec, async () => askersOf(parts.blobs, await knownFiles(parts, makeOrder)))
  }
  return await journal.stage(
    'packages',
    () => makeFragments(parts, makeOrder, before).catch(explain),
    (made) => ({
      'bytes-reused': made.bytesReused,
      'bytes-transferred': made.bytesTransferred,
      detail: `${made.fresh.size} of ${total} made`,
    }),
  )
}

/** The order's own wheels, and the pip that it is given. */
function localWheels({ local }: ImageOrder, { seed }: Locked): WheelsHere | undefined {
  if (seed === undefined) return local
  const { filename, sha256, size = 0 } = seed.artifact
  return new Map([...(local ?? []), [filename, { file: seed.file, sha256, size }]])
}
