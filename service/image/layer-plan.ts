import type { Fragment, FragmentEntry, PlannedArtifact } from './fragment.ts'
import { keyOf, LAYER_FORMAT } from './keys.ts'
import type { LayoutLayer } from './layout.ts'
import type { OwnEntry } from './skeleton.ts'
import { type Clash, type EnvironmentTree, sameContent } from './tree.ts'

/** What a layer is for; `changes` are what is small of a delta. */
export type LayerKind = 'skeleton' | 'artifacts' | 'whiteouts' | 'changes'

/** Bytes of a fragment that go into a layer: whole gzip members, from `start` up to but not including `end`. */
export interface Run {
  start: number
  end: number
}

/** What a layer takes from one fragment. */
export interface Part {
  fragment: Fragment
  runs: Run[]
}

/** A layer that may have to be written. */
export interface NewLayer {
  kind: LayerKind
  /** Over all that its bytes are made of. */
  key: string
  /** For people, in the image's history: `six 1.17.0`. */
  title: string
  /** Bytes that it takes from fragments. */
  bytes: number
  /** Entries that come first: folders before what is in them. */
  own: OwnEntry[]
  parts: Part[]
  /** Where the layer is all of one fragment: that is a layer already, and nothing need be written. */
  whole?: Fragment
}

/** What an image is made of. */
export interface Plan {
  kind: 'fresh' | 'delta'
  /** Lowest first, above the base image's. A layer with a descriptor is the parent's. */
  layers: (NewLayer | LayoutLayer)[]
  /** In normalised-name order: the later wins a path. */
  artifacts: PlannedArtifact[]
  clashes: Clash[]
  /** Bytes in the layers that a fresh layout would not have. */
  deadBytes: number
  /** Why a fresh layout should take this delta's place soon. */
  worn?: string
  /** Why this is no delta although there is a parent. */
  parentUnfit?: string
}

/** A layer of own entries and parts of fragments. */
export function newLayer(kind: LayerKind, title: string, own: OwnEntry[], parts: Part[]): NewLayer {
  const content = parts.map(({ fragment, runs }) => [fragment.digest, runs])
  const bytes = parts.flatMap(({ runs }) => runs).reduce((sum, { start, end }) => sum + end - start, 0)
  return { kind, key: keyOf('layer', LAYER_FORMAT, own, content), title, bytes, own, parts }
}

/** A layer that is all of one fragment. */
export function wholeLayer(title: string, fragment: Fragment): NewLayer {
  const bytes = fragment.entries.reduce((sum, { start, end }) => sum + end - start, 0)
  const key = keyOf('layer', LAYER_FORMAT, fragment.digest)
  return { kind: 'artifacts', key, title, bytes, own: [], parts: [], whole: fragment }
}

/**
 * What of some fragments goes into a layer of theirs: each path once, and nothing that another artifact's content
 * hides. An entry with the content of the winner's stays, so that namespace packages which repeat a file keep the layer
 * that others know.
 */
export function visibleParts(fragments: Fragment[], tree: EnvironmentTree): { paths: Set<string>; parts: Part[] } {
  const paths = new Set<string>()
  const parts: Part[] = []
  for (const fragment of fragments) {
    const part: Part = { fragment, runs: [] }
    for (const entry of fragment.entries) {
      if (paths.has(entry.path) || !isVisible(entry, tree)) continue
      addRun(part, entry)
      paths.add(entry.path)
    }
    if (part.runs.length > 0) parts.push(part)
  }
  return { paths, parts }
}

/** All that an artifact brings. */
export function fragmentsOf({ files, bytecode }: PlannedArtifact): Fragment[] {
  return bytecode ? [files, bytecode] : [files]
}

/** Bytes that `visibleParts` would take of some fragments. */
export function visibleBytes(fragments: Fragment[], tree: EnvironmentTree): number {
  let bytes = 0
  for (const { entries } of fragments) {
    for (const entry of entries) if (isVisible(entry, tree)) bytes += entry.end - entry.start
  }
  return bytes
}

function isVisible(entry: FragmentEntry, tree: EnvironmentTree): boolean {
  const visible = tree.files.get(entry.path)
  return visible !== undefined && sameContent(visible.entry, entry)
}

/** Adds an entry's bytes behind those that the part has. */
export function addRun(part: Part, { start, end }: Run): void {
  const last = part.runs.at(-1)
  if (last?.end === start) last.end = end
  else part.runs.push({ start, end })
}
