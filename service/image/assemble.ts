import { BlobMissing, type Blobs, type Digest, digestOf } from '../blobs/blobs.ts'
import type { BaseImage, LayerDescriptor } from './base.ts'
import { type ImageOverrides, imageConfig } from './image-config.ts'
import { type Descriptor, descriptorOf, imageManifest } from './image-manifest.ts'
import { LAYER_FORMAT } from './keys.ts'
import type { NewLayer, Plan } from './layer-plan.ts'
import { ensureLayer, type LayerIndex } from './layers.ts'
import { type Layout, type LayoutLayer, layoutArtifact } from './layout.ts'
import { INFLATED_FROM, MANIFEST_TYPE, ociLayers, TAR_TYPE } from './media-types.ts'
import type { EnvironmentKind } from './skeleton.ts'

/** Layers that are written at a time. */
const WRITERS = 2

/** What an image is put together from. */
export interface AssembleRequest {
  base: BaseImage
  plan: Plan
  blobs: Blobs
  layers: LayerIndex
  overrides?: ImageOverrides
  /** What the image is to code; a virtual environment where it is not set. */
  kind?: EnvironmentKind
  /** Whether every engine that shall run the image reads zstd layers (Docker from 23 on). */
  zstd?: boolean
  signal?: AbortSignal
}

/** An image whose blobs are all stored. */
export interface AssembledImage {
  /** Of the manifest. */
  digest: Digest
  /** Of the manifest. */
  mediaType: string
  manifest: Buffer
  /**
   * The manifest of the same image with its layers as plain tars, each with the layer that it is inflated from. Who
   * pulls from this machine is served faster so: inflating in the engine takes three times the time of inflating here.
   */
  plain: { digest: Digest; manifest: Buffer }
  /** Lowest first, the base's included. */
  layers: LayerDescriptor[]
  layout: Layout
  /** Compressed bytes of layers that were written now, and of layers above the base that existed. */
  written: number
  reused: number
}

/**
 * Makes an image of a plan: writes what is missing of its layers, then the config; the manifests are for whoever
 * publishes it. Nothing is built or run.
 * @throws {BaseRefused} when engines could not read the base's layers
 * @throws {BlobMissing} when a fragment, or a layer of the plan's parent, is no longer stored
 */
export async function assembleImage(request: AssembleRequest): Promise<AssembledImage> {
  const { base, plan, blobs } = request
  const baseLayers = ociLayers(base, request.zstd ?? false)
  const { layers, written } = await writeLayers(request)
  const descriptors = [...baseLayers, ...layers.map(({ layer }) => layer)]
  const config = await blobs.put(imageConfig(base, layers, request.overrides, request.kind))
  const manifest = imageManifest(config, descriptors.map(descriptorOf), base.digest)
  const plain = imageManifest(config, descriptors.map(plainTar), base.digest)
  return {
    digest: digestOf(manifest),
    mediaType: MANIFEST_TYPE,
    manifest,
    plain: { digest: digestOf(plain), manifest: plain },
    layers: descriptors,
    layout: {
      format: LAYER_FORMAT,
      base: base.digest,
      layers,
      artifacts: plan.artifacts.map(layoutArtifact),
      deadBytes: plan.deadBytes,
    },
    written,
    reused: layers.reduce((sum, { layer }) => sum + layer.size, 0) - written,
  }
}

/** The plan's layers with their descriptors. The largest are begun first, so that the writers end together. */
async function writeLayers(request: AssembleRequest): Promise<{ layers: LayoutLayer[]; written: number }> {
  const { plan, blobs, layers: index } = request
  const halt = new AbortController()
  const signal = AbortSignal.any([halt.signal, ...(request.signal ? [request.signal] : [])])
  const descriptors = new Map<string, LayerDescriptor>()
  let written = 0
  const distinct = new Map(plan.layers.filter(isNew).map((layer) => [layer.key, layer]))
  const queue = [...distinct.values()].sort((a, b) => b.bytes - a.bytes).values()
  const writer = async () => {
    for (const layer of queue) {
      if (signal.aborted) return
      const ensured = await ensureLayer(layer, blobs, index, signal)
      descriptors.set(layer.key, ensured.descriptor)
      if (ensured.written) written += ensured.descriptor.size
    }
  }
  await Promise.all(Array.from({ length: WRITERS }, () => writer().catch((error) => halt.abort(error))))
  signal.throwIfAborted()
  const layers = plan.layers.map((planned) => described(planned, descriptors))
  await Promise.all(layers.map(({ layer }) => checkStored(layer, blobs)))
  return { layers, written }
}

function described(planned: NewLayer | LayoutLayer, descriptors: Map<string, LayerDescriptor>): LayoutLayer {
  if (!isNew(planned)) return planned
  const { kind, key, title, bytes } = planned
  const layer = descriptors.get(key)
  if (!layer) throw new Error(`layer ${title} was not written`)
  return { kind, key, title, bytes, layer }
}

/** A parent's layers may be gone although its layout is known. */
async function checkStored({ digest }: LayerDescriptor, blobs: Blobs): Promise<void> {
  if ((await blobs.size(digest)) === undefined) throw new BlobMissing(digest)
}

function isNew(layer: NewLayer | LayoutLayer): layer is NewLayer {
  return 'parts' in layer
}

/** The digest of a plain tar is its diff id. A base's layers stay as they are: nodes have them. */
function plainTar(layer: LayerDescriptor): Descriptor {
  if (layer.tarSize === undefined) return descriptorOf(layer)
  const annotations = { [INFLATED_FROM]: layer.digest }
  return { mediaType: TAR_TYPE, digest: layer.diffId, size: layer.tarSize, annotations }
}
