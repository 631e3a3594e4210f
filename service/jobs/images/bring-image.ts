import type { Engine, PullOptions } from '../../engine/engine.ts'

/** Brings an image of the embedded registry to this node, where it is not there yet. Whether it had to. */
export type BringImage = (reference: string, options: Omit<PullOptions, 'credential'>) => Promise<boolean>

/** @param credential what the engine shows to the embedded registry */
export function bringImageWith(engine: Engine, credential: PullOptions['credential']): BringImage {
  return async (reference, options) => {
    if (await engine.hasImage(reference)) return false
    await engine.pull(reference, { ...options, ...(credential && { credential }) })
    return true
  }
}
