import type { LayerIndex } from '../../image/layers.ts'
import type { Artifact } from '../../interpreter/lock.ts'
import type { EnsureLock, Seed } from '../environment/ensure-lock.ts'
import type { MakeParts } from '../fragments/make-order.ts'
import type { BringImage } from './bring-image.ts'
import type { ImageStore } from './image-store.ts'

/** What making images needs besides what making fragments needs. */
export interface ImageParts extends MakeParts {
  lock: EnsureLock
  layers: LayerIndex
  store: ImageStore
  bring: BringImage
  /** Removes an image from the node; layers that others have stay. */
  removeImage: (reference: string) => Promise<void>
  /** The pip of environments that have none. */
  seed: () => Promise<Seed>
  /** Whether the engine reads zstd layers. */
  zstd: boolean
  /** Whether an artifact came without credentials from a public index. */
  isPublic: (artifact: Artifact) => boolean
  /** Whether an operator vouches for a base image. */
  isOperatorBase: (name: string) => boolean
}
