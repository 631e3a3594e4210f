import { parentFolders, parentOf } from './folders.ts'
import type { Fragment, FragmentEntry, PlannedArtifact } from './fragment.ts'
import { addRun, fragmentsOf, type NewLayer, newLayer, type Part, visibleParts } from './layer-plan.ts'
import { artifactLayer } from './plan-fresh.ts'
import { FIXED_TIME, type OwnEntry } from './skeleton.ts'
import { type EnvironmentTree, sameContent } from './tree.ts'

/**
 * The layers that turn one tree into another: whiteouts of what is gone, new and changed artifacts as a fresh layout
 * has them, and on top what they leave wrong.
 * @param added artifacts that the layers below do not hold
 */
export function deltaLayers(before: EnvironmentTree, after: EnvironmentTree, added: PlannedArtifact[]): NewLayer[] {
  const layers = added.map((artifact) => artifactLayer(artifact, after)).filter(({ bytes }) => bytes > 0)
  return [...whiteoutLayer(before, after), ...layers, ...fixUpLayer(before, after, added)]
}

/** Whiteouts (OCI image spec, layer.md) of what stands before and not after; one for a folder where nothing remains. */
function whiteoutLayer(before: EnvironmentTree, after: EnvironmentTree): NewLayer[] {
  const gone = new Set<string>()
  for (const path of before.files.keys()) {
    const top = topOfGone(path, after)
    if (top !== undefined) gone.add(top)
  }
  if (gone.size === 0) return []
  const whiteouts = [...gone].sort().map((path): OwnEntry => {
    const folder = parentOf(path)
    return {
      path: `${folder}/.wh.${path.slice(folder.length + 1)}`,
      type: 'file',
      mode: 0o644,
      size: 0,
      mtime: FIXED_TIME,
    }
  })
  return [newLayer('whiteouts', `removes ${gone.size} paths`, [...parentFolders(gone), ...whiteouts], [])]
}

/**
 * The highest path that must be whited out to be rid of a file; undefined where a file stays in its place. Where file
 * and folder change places, the old is whited out too: no engine need know which of them hides the other.
 */
function topOfGone(path: string, after: EnvironmentTree): string | undefined {
  if (after.files.has(path)) return undefined
  let top = path
  for (let folder = parentOf(top); !after.folders.has(folder); folder = parentOf(top)) top = folder
  return top
}

/** Every path whose content would still not be that of a fresh tree, copied from the fragments once more. */
function fixUpLayer(before: EnvironmentTree, after: EnvironmentTree, added: PlannedArtifact[]): NewLayer[] {
  const laid = visibleParts(added.flatMap(fragmentsOf), after).paths
  const wrong = new Set<FragmentEntry>()
  const fragments = new Set<Fragment>()
  for (const [path, { entry, fragment }] of after.files) {
    if (laid.has(path) || sameContent(before.files.get(path)?.entry, entry)) continue
    wrong.add(entry)
    fragments.add(fragment)
  }
  if (wrong.size === 0) return []
  const parts = [...fragments].map((fragment): Part => {
    const part: Part = { fragment, runs: [] }
    for (const entry of fragment.entries) if (wrong.has(entry)) addRun(part, entry)
    return part
  })
  const folders = parentFolders([...wrong].map((entry) => entry.path))
  return [newLayer('fix-ups', `restores ${wrong.size} paths`, folders, parts)]
}
