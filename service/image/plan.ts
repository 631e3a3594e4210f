import { BlobMissing, type Digest } from '../blobs/blobs.ts'
import type { Fragment, PlannedArtifact, StoredFragment } from './fragment.ts'
import { fragmentsOf, type NewLayer, newLayer, type Plan, visibleBytes } from './layer-plan.ts'
import { type Layout, type LayoutArtifact, layoutArtifact } from './layout.ts'
import { deltaLayers } from './plan-delta.ts'
import { freshLayers } from './plan-fresh.ts'
import type { OwnEntry } from './skeleton.ts'
import { type EnvironmentTree, environmentTree, PlanRefused } from './tree.ts'

/** Layers in all from which on a delta is to be followed by a fresh layout; engines take 127. */
const WORN_LAYERS = 110
/** Layers in all that no image may exceed: a container adds some of its own. */
const MOST_LAYERS = 120
/** Share of dead bytes from which on a delta is to be followed by a fresh layout. */
const WORN_SHARE = 0.25

/** What an image shall hold. */
export interface PlanRequest {
  base: { digest: Digest; layers: unknown[] }
  skeleton: OwnEntry[]
  /** One of a name, in any order. */
  artifacts: PlannedArtifact[]
}

/** Loads a fragment by the blob of its manifest. May throw `BlobMissing`. */
export type LoadFragment = (manifest: Digest) => Promise<Fragment>

/**
 * Plans an image from nothing. Pure: the same request gives the same plan.
 * @throws {PlanRefused} when an artifact has a path that it may not have, or the base has too many layers
 */
export function planFresh(request: PlanRequest): Plan {
  return fresh(request, target(request))
}

/**
 * Plans an image on the layers of its parent, or from nothing where that can't be (`parentUnfit` says why). The tree
 * is that of a fresh plan in any case, folders included.
 * @throws {PlanRefused} as `planFresh`
 */
export async function planDelta(request: PlanRequest, parent: Layout, loadFragment: LoadFragment): Promise<Plan> {
  const after = target(request)
  const unfit = (parentUnfit: string): Plan => ({ ...fresh(request, after), parentUnfit })
  if (parent.base !== request.base.digest) return unfit('the base image is another')
  if (parent.layers[0]?.key !== skeletonLayer(request).key) return unfit('the skeleton of the environment is another')
  let parents: PlannedArtifact[]
  try {
    parents = await loadArtifacts(parent.artifacts, after.artifacts, loadFragment)
  } catch (error) {
    if (error instanceof BlobMissing) return unfit('what its packages hold is no longer stored')
    throw error
  }
  const before = environmentTree(parents, request.skeleton)
  const held = new Set(parent.artifacts.map(identity))
  const added = after.artifacts.filter((artifact) => !held.has(identity(layoutArtifact(artifact))))
  const layers = [...parent.layers, ...deltaLayers(before, after.tree, added)]
  const count = request.base.layers.length + layers.length
  if (count > MOST_LAYERS) return unfit(`it would have ${count} layers, and ${MOST_LAYERS} is the most`)
  return { kind: 'delta', layers, ...account(after, layers, count) }
}

interface Target {
  artifacts: PlannedArtifact[]
  tree: EnvironmentTree
}

function target({ artifacts, skeleton }: PlanRequest): Target {
  const sorted = artifacts.toSorted((a, b) => (a.name < b.name ? -1 : 1))
  const twice = sorted.find(({ name }, index) => sorted[index + 1]?.name === name)
  if (twice) throw new PlanRefused(`${twice.name} is listed twice`, 'an environment holds one version of a package')
  return { artifacts: sorted, tree: environmentTree(sorted, skeleton) }
}

function fresh(request: PlanRequest, { artifacts, tree }: Target): Plan {
  const below = request.base.layers.length + 1
  const layers = [skeletonLayer(request), ...freshLayers(artifacts, tree, below)]
  if (request.base.layers.length + layers.length > MOST_LAYERS) {
    throw new PlanRefused(
      `the base image has ${request.base.layers.length} layers, and ${MOST_LAYERS} in all is the most`,
      'use a base image with fewer layers',
    )
  }
  return { kind: 'fresh', layers, artifacts, clashes: tree.clashes, deadBytes: 0 }
}

function skeletonLayer({ skeleton }: PlanRequest): NewLayer {
  return newLayer('skeleton', 'an empty environment', skeleton, [])
}

/** Dead is what a fresh layout would not have, so a fresh layout is never worn. */
function account(
  { artifacts, tree }: Target,
  layers: { bytes: number }[],
  count: number,
): Omit<Plan, 'kind' | 'layers'> {
  const total = layers.reduce((sum, { bytes }) => sum + bytes, 0)
  const live = artifacts.reduce((sum, artifact) => sum + visibleBytes(fragmentsOf(artifact), tree), 0)
  const deadBytes = Math.max(0, total - live)
  const worn =
    count > WORN_LAYERS
      ? `${count} layers, more than ${WORN_LAYERS}`
      : deadBytes > total * WORN_SHARE
        ? `${Math.round((100 * deadBytes) / total)} % of its bytes are dead, more than ${100 * WORN_SHARE} %`
        : undefined
  return { artifacts, clashes: tree.clashes, deadBytes, ...(worn && { worn }) }
}

/** The parent's artifacts, in the order of their names as the layout has them. Most fragments are the target's too. */
async function loadArtifacts(
  artifacts: LayoutArtifact[],
  known: PlannedArtifact[],
  loadFragment: LoadFragment,
): Promise<PlannedArtifact[]> {
  const fragments = new Map<Digest, StoredFragment>()
  for (const { files, bytecode } of known) {
    fragments.set(files.digest, files)
    if (bytecode) fragments.set(bytecode.digest, bytecode)
  }
  const load = async ({ digest, manifest }: LayoutArtifact['files']) =>
    fragments.get(digest) ?? { ...(await loadFragment(manifest)), manifest }
  return Promise.all(
    artifacts.map(async ({ name, version, files, bytecode }) => ({
      name,
      version,
      weight: 0,
      files: await load(files),
      ...(bytecode && { bytecode: await load(bytecode) }),
    })),
  )
}

function identity({ name, files, bytecode }: LayoutArtifact): string {
  return `${name} ${files.digest} ${bytecode?.digest}`
}
