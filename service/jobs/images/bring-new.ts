import type { ImageRow } from '../../database/schema.ts'
import type { PullOptions } from '../../engine/engine.ts'
import type { AssembledImage } from '../../image/assemble.ts'
import type { PlannedArtifact } from '../../image/fragment.ts'
import type { Locked } from '../environment/ensure-lock.ts'
import type { ImageOrder } from '../environment/image-order.ts'
import type { WorkContext } from '../events/journal.ts'
import { EarlyPull } from './early-pull.ts'
import type { ImageParts } from './image-parts.ts'
import { layOutFresh } from './lay-out.ts'
import { installed } from './packages.ts'

/** Which image, and what it is made of. */
interface Wanted {
  order: ImageOrder
  locked: Locked
}

/** Publishes an image, and remembers it while it is brought. Its row, and how the engine knows it. */
export async function bringNew(
  parts: ImageParts,
  { order, locked }: Wanted,
  image: AssembledImage,
  context: WorkContext,
  early?: EarlyPull,
): Promise<{ row: ImageRow; reference: string }> {
  const { store } = parts
  const reference = await store.publish(order.domain, image)
  const saving = store.save(order, locked, image)
  // Told below.
  saving.catch(() => {})
  await pullToNode(parts, reference, { isNew: true, early }, context)
  return { row: await saving, reference }
}

/** The stage that brings an image, where it is not there yet. */
export async function pullToNode(
  { bring }: Pick<ImageParts, 'bring'>,
  reference: string,
  { isNew = false, early }: { isNew?: boolean; early?: EarlyPull | undefined },
  { journal, signal }: WorkContext,
): Promise<void> {
  const onProgress: PullOptions['onProgress'] = ({ layersDone, layersTotal }) =>
    journal.tell({ kind: 'progress', what: 'layers', done: layersDone, total: layersTotal })
  await journal.stage(
    'pull',
    async () => {
      // What is still under way of it is part of the image: engines take up such layers where they are.
      const ended = early?.end()
      const brought = await bring(reference, { isNew, signal, onProgress })
      await ended
      return brought || early !== undefined
    },
    (pulled) => ({ detail: pulled ? 'brought to the node' : 'was on the node' }),
  )
}

/** What is to be laid out afresh is brought in parts, the first while the last are made. */
export function pullEarly(parts: ImageParts, { order, locked }: Wanted, { journal, signal }: WorkContext): EarlyPull {
  const { store, bring } = parts
  const pullFirst = async (artifacts: PlannedArtifact[]) => {
    const image = await layOutFresh(parts, locked, artifacts, signal)
    const reference = await store.publish(order.domain, image)
    await bring(reference, { signal })
    return reference
  }
  const all = installed(locked).map(({ name, size = 0 }) => ({ name, weight: size }))
  return new EarlyPull(all, pullFirst, (error) => journal.note(`pulling early failed: ${error}`))
}
