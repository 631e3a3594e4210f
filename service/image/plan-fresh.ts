import { createHash } from 'node:crypto'
import { parentFolders } from './folders.ts'
import type { Fragment, PlannedArtifact } from './fragment.ts'
import { fragmentsOf, type NewLayer, newLayer, visibleBytes, visibleParts, wholeLayer } from './layer-plan.ts'
import type { EnvironmentTree } from './tree.ts'

/** Bytes to install from at which an artifact's files have a layer for themselves, before all byte code. */
const HEAVY = 4_000_000
/** Layers, the base's included, that a fresh layout tries not to exceed: each takes an engine 100 ms, however small. */
const MOST_FRESH_LAYERS = 40
/** Compressed bytes below which artifacts share layers in a delta; byte code in a fresh layout of too many layers too. */
export const SMALL = 1_000_000
const BUCKETS = 3
/** Virtual environments have it, most often in one version: as the lowest layer it is on nodes already. */
const EVERYWHERE = 'pip'

type Weighted = Pick<PlannedArtifact, 'name' | 'weight'>

/**
 * The order of artifacts in a fresh layout, and so the best order to make them in: what takes longest first.
 * Environments with the same large packages then have the same first layers. Depends on the lock alone.
 */
export function heaviestFirst(a: Weighted, b: Weighted): number {
  return b.weight - a.weight || (a.name < b.name ? -1 : 1)
}

/** Whether the files of an artifact are a layer at the beginning, which can be brought to nodes before byte code is made. */
export function isHeavy({ name, weight }: Weighted): boolean {
  return weight >= HEAVY && !isEverywhere({ name })
}

/** Whether all of an artifact is a layer below all others. */
export function isEverywhere({ name }: Pick<Weighted, 'name'>): boolean {
  return name === EVERYWHERE
}

/**
 * What is everywhere, the files of heavy artifacts, then their byte code and one layer each of the others, the heaviest
 * first, and small ones last; each visible path is in one of them, or in several with the same content, so their order
 * decides nothing. Where that makes too many layers, those that are not large share buckets chosen by their names: a new
 * one changes one bucket only.
 * @param below layers beneath: the base's and the skeleton
 */
export function freshLayers(artifacts: PlannedArtifact[], tree: EnvironmentTree, below: number): NewLayer[] {
  const ordered = artifacts.toSorted(heaviestFirst)
  const whole = (artifact: PlannedArtifact) => measured(artifact, fragmentsOf(artifact), tree)
  const heavy = ordered.filter(isHeavy)
  const lowest = [
    ...ordered.filter(isEverywhere).map(whole),
    ...heavy.map((artifact) => measured(artifact, [artifact.files], tree)),
  ].filter(({ bytes }) => bytes > 0)
  const pieces = largeFirst([
    ...heavy.map((artifact) => ({ ...measured(artifact, fragmentsOf(artifact).slice(1), tree), isCode: true })),
    ...ordered.filter((artifact) => !isHeavy(artifact) && !isEverywhere(artifact)).map(whole),
  ])
  let groups = pieces.map((piece) => [piece])
  const tooMany = () => below + lowest.length + groups.length > MOST_FRESH_LAYERS && groups.length > BUCKETS
  for (let small = SMALL; tooMany(); small *= 2) groups = inBuckets(pieces, small)
  return [...lowest.map((piece) => [piece]), ...groups].map((group) =>
    fragmentsLayer(
      group.map(({ title }) => title).join(', '),
      group.flatMap(({ fragments }) => fragments),
      tree,
    ),
  )
}

/** The layer that a large artifact has for itself in a delta. */
export function artifactLayer(artifact: PlannedArtifact, tree: EnvironmentTree): NewLayer {
  return fragmentsLayer(titleOf(artifact), fragmentsOf(artifact), tree)
}

function fragmentsLayer(title: string, fragments: Fragment[], tree: EnvironmentTree): NewLayer {
  const { paths, parts } = visibleParts(fragments, tree)
  const [first] = parts
  if (first && parts.length === 1 && paths.size === first.fragment.entries.length)
    return wholeLayer(title, first.fragment)
  return newLayer('artifacts', title, parentFolders(paths), parts)
}

/** What of one artifact goes into one layer. */
interface Piece {
  name: string
  title: string
  fragments: Fragment[]
  /** Compressed bytes that are visible. */
  bytes: number
  /** Whether it is the byte code of a heavy artifact. */
  isCode?: boolean
}

/** Pieces in their order, but small ones last, and none without a file. */
function largeFirst(pieces: Piece[]): Piece[] {
  const isLarge = ({ bytes }: Piece) => bytes >= SMALL
  return [...pieces.filter(isLarge), ...pieces.filter((piece) => !isLarge(piece) && piece.bytes > 0)]
}

function measured(artifact: PlannedArtifact, fragments: Fragment[], tree: EnvironmentTree): Piece {
  const isByteCode = fragments[0] === artifact.bytecode
  const title = isByteCode ? `${titleOf(artifact)} byte code` : titleOf(artifact)
  return { name: artifact.name, title, fragments, bytes: visibleBytes(fragments, tree) }
}

/** `six 1.17.0` */
export function titleOf({ name, version }: PlannedArtifact): string {
  return `${name} ${version}`
}

/** Large pieces by themselves, then the buckets. Byte code is large sooner: nodes have it before the rest is made. */
function inBuckets(pieces: Piece[], small: number): Piece[][] {
  const isAlone = ({ isCode = false, bytes }: Piece) => bytes >= (isCode ? small : (small * HEAVY) / SMALL)
  const buckets = Array.from({ length: BUCKETS }, (): Piece[] => [])
  for (const piece of pieces) if (!isAlone(piece)) buckets[bucketOf(piece.name)]?.push(piece)
  return [...pieces.filter(isAlone).map((piece) => [piece]), ...buckets.filter((bucket) => bucket.length > 0)]
}

function bucketOf(name: string): number {
  return createHash('sha256').update(name).digest().readUInt32BE() % BUCKETS
}
