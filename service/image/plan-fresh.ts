import { createHash } from 'node:crypto'
import type { PlannedArtifact } from './fragment.ts'
import { bytesOf, type NewLayer, newLayer, type Part, parentFolders, visibleParts } from './layer-plan.ts'
import type { EnvironmentTree } from './tree.ts'

/** Layers, the base's included, that a fresh layout tries not to exceed. */
const MOST_FRESH_LAYERS = 100
/** Compressed bytes below which artifacts share layers once there are too many of them. */
const SMALL = 1_000_000
const BUCKETS = 16

interface Laid {
  artifact: PlannedArtifact
  paths: string[]
  parts: Part[]
  bytes: number
}

/**
 * One layer an artifact, in the order of their names; each visible path is in one of them, or in several with the same
 * content, so their order decides nothing. Where that makes too many layers, small artifacts share buckets chosen by
 * their names: a new one changes one bucket only.
 * @param below layers beneath: the base's and the skeleton
 */
export function freshLayers(artifacts: PlannedArtifact[], tree: EnvironmentTree, below: number): NewLayer[] {
  const laid = artifacts.map((artifact) => layDown(artifact, tree)).filter(({ parts }) => parts.length > 0)
  let groups = laid.map((one) => [one])
  const tooMany = () => below + groups.length > MOST_FRESH_LAYERS && groups.length > BUCKETS
  for (let small = SMALL; tooMany(); small *= 2) groups = inBuckets(laid, small)
  return groups.map(artifactsLayer)
}

/** The layer of one artifact by itself; undefined where none of it is visible. */
export function artifactLayer(artifact: PlannedArtifact, tree: EnvironmentTree): NewLayer | undefined {
  const laid = layDown(artifact, tree)
  return laid.parts.length > 0 ? artifactsLayer([laid]) : undefined
}

/** Bytes that a fresh layout takes from fragments. */
export function visibleBytes(artifacts: PlannedArtifact[], tree: EnvironmentTree): number {
  return artifacts.reduce((sum, artifact) => sum + layDown(artifact, tree).bytes, 0)
}

function layDown(artifact: PlannedArtifact, tree: EnvironmentTree): Laid {
  const { paths, parts } = visibleParts(artifact, tree)
  return { artifact, paths, parts, bytes: parts.reduce((sum, part) => sum + bytesOf(part), 0) }
}

function artifactsLayer(laid: Laid[]): NewLayer {
  const title = laid.map(({ artifact }) => `${artifact.name} ${artifact.version}`).join(', ')
  const paths = laid.flatMap((one) => one.paths)
  return newLayer(
    'artifacts',
    title,
    parentFolders(paths),
    laid.flatMap((one) => one.parts),
  )
}

/** Large artifacts by themselves, then the buckets. */
function inBuckets(laid: Laid[], small: number): Laid[][] {
  const alone = laid.filter(({ bytes }) => bytes >= small).map((one) => [one])
  const buckets = Array.from({ length: BUCKETS }, (): Laid[] => [])
  for (const one of laid.filter(({ bytes }) => bytes < small)) buckets[bucketOf(one.artifact.name)]?.push(one)
  return [...alone, ...buckets.filter((bucket) => bucket.length > 0)]
}

function bucketOf(name: string): number {
  return createHash('sha256').update(name).digest().readUInt32BE() % BUCKETS
}
