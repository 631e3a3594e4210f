import type { Engine, PullOptions } from '../../engine/engine.ts'

/** How an image is brought. */
export interface BringOptions extends Omit<PullOptions, 'credential'> {
  /** It was made just now: the node is not asked for it. */
  isNew?: boolean
}

/** Brings an image of the embedded registry to this node, where it is not there yet. Whether it had to. */
export type BringImage = (reference: string, options: BringOptions) => Promise<boolean>

/** @param credential what the engine shows to the embedded registry */
export function bringImageWith(engine: Engine, credential: PullOptions['credential']): BringImage {
  return async (reference, { isNew, ...options }) => {
    if (!isNew && (await engine.hasImage(reference))) return false
    await engine.pull(reference, { ...options, ...(credential && { credential }) })
    return true
  }
}
