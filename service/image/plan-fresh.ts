import { createHash } from 'node:crypto'
import type { PlannedArtifact } from './fragment.ts'
import { type NewLayer, newLayer, parentFolders, visibleBytes, visibleParts } from './layer-plan.ts'
import type { EnvironmentTree } from './tree.ts'

/** Layers, the base's included, that a fresh layout tries not to exceed. */
const MOST_FRESH_LAYERS = 100
/** Compressed bytes below which artifacts share layers once there are too many of them. */
const SMALL = 1_000_000
const BUCKETS = 16

/**
 * One layer an artifact, in the order of their names; each visible path is in one of them, or in several with the same
 * content, so their order decides nothing. Where that makes too many layers, small artifacts share buckets chosen by
 * their names: a new one changes one bucket only.
 * @param below layers beneath: the base's and the skeleton
 */
export function freshLayers(artifacts: PlannedArtifact[], tree: EnvironmentTree, below: number): NewLayer[] {
  const sized = artifacts
    .map((artifact) => ({ artifact, bytes: visibleBytes(artifact, tree) }))
    .filter(({ bytes }) => bytes > 0)
  let groups = sized.map(({ artifact }) => [artifact])
  const tooMany = () => below + groups.length > MOST_FRESH_LAYERS && groups.length > BUCKETS
  for (let small = SMALL; tooMany(); small *= 2) groups = inBuckets(sized, small)
  return groups.map((group) => artifactsLayer(group, tree))
}

/** The layer that some artifacts have for themselves. */
export function artifactsLayer(artifacts: PlannedArtifact[], tree: EnvironmentTree): NewLayer {
  const { paths, parts } = visibleParts(artifacts, tree)
  const title = artifacts.map(({ name, version }) => `${name} ${version}`).join(', ')
  return newLayer('artifacts', title, parentFolders(paths), parts)
}

interface Sized {
  artifact: PlannedArtifact
  bytes: number
}

/** Large artifacts by themselves, then the buckets. */
function inBuckets(sized: Sized[], small: number): PlannedArtifact[][] {
  const alone = sized.filter(({ bytes }) => bytes >= small).map(({ artifact }) => [artifact])
  const buckets = Array.from({ length: BUCKETS }, (): PlannedArtifact[] => [])
  for (const { artifact, bytes } of sized) if (bytes < small) buckets[bucketOf(artifact.name)]?.push(artifact)
  return [...alone, ...buckets.filter((bucket) => bucket.length > 0)]
}

function bucketOf(name: string): number {
  return createHash('sha256').update(name).digest().readUInt32BE() % BUCKETS
}
