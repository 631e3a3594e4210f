import { parentFolders, parentOf } from './folders.ts'
import type { Fragment, FragmentEntry, PlannedArtifact } from './fragment.ts'
import { addRun, fragmentsOf, type NewLayer, newLayer, type Part, visibleBytes, visibleParts } from './layer-plan.ts'
import { artifactLayer, SMALL, titleOf } from './plan-fresh.ts'
import { FIXED_TIME, type OwnEntry } from './skeleton.ts'
import { type EnvironmentTree, sameContent } from './tree.ts'

/**
 * The layers that turn one tree into another. Large new artifacts have the layers that others have of them; all else is
 * one layer, as each takes an engine 50 ms: whiteouts of what is gone, small new artifacts, and what all of them would
 * leave wrong.
 * @param added artifacts that the layers below do not hold
 */
export function deltaLayers(before: EnvironmentTree, after: EnvironmentTree, added: PlannedArtifact[]): NewLayer[] {
  const isLarge = (artifact: PlannedArtifact) => visibleBytes(fragmentsOf(artifact), after) >= SMALL
  const large = added.filter(isLarge).map((artifact) => artifactLayer(artifact, after))
  const small = added.filter((artifact) => !isLarge(artifact))
  const { paths, parts } = visibleParts(small.flatMap(fragmentsOf), after)
  const gone = pathsToRemove(before, after)
  // A whiteout hides what is below its layer, and nothing can be beside it under the same name.
  const swapped = gone.filter((path) => after.files.has(path) || after.folders.has(path))
  const removed = gone.filter((path) => !swapped.includes(path))
  const wrong = pathsToRestore(before, after, added)
  const touched = [...paths, ...removed, ...wrong.paths]
  const said = [...small.filter((one) => visibleBytes(fragmentsOf(one), after) > 0).map(titleOf)]
  if (removed.length > 0) said.push(`removes ${counted(removed)}`)
  if (wrong.paths.length > 0) said.push(`restores ${counted(wrong.paths)}`)
  return [
    ...(swapped.length > 0 ? [whiteoutLayer(swapped)] : []),
    ...large,
    ...(touched.length > 0
      ? [
          newLayer(
            'changes',
            said.join(', '),
            [...parentFolders(touched), ...removed.map(whiteout)],
            [...parts, ...wrong.parts],
          ),
        ]
      : []),
  ]
}

/** Only what stands where something else will. */
function whiteoutLayer(gone: string[]): NewLayer {
  return newLayer('whiteouts', `removes ${counted(gone)}`, [...parentFolders(gone), ...gone.map(whiteout)], [])
}

function counted(paths: string[]): string {
  return paths.length === 1 ? '1 path' : `${paths.length} paths`
}

/** Hides a path of the layers below (OCI image spec, layer.md). */
function whiteout(path: string): OwnEntry {
  const folder = parentOf(path)
  const name = `${folder}/.wh.${path.slice(folder.length + 1)}`
  return { path: name, type: 'file', mode: 0o644, size: 0, mtime: FIXED_TIME }
}

/** What stands before and not after, sorted; a folder where nothing of it remains. */
function pathsToRemove(before: EnvironmentTree, after: EnvironmentTree): string[] {
  const gone = new Set<string>()
  for (const path of before.files.keys()) {
    const top = topOfGone(path, after)
    if (top !== undefined) gone.add(top)
  }
  return [...gone].sort()
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

/** Every path whose content would still not be that of a fresh tree, to be copied from the fragments once more. */
function pathsToRestore(
  before: EnvironmentTree,
  after: EnvironmentTree,
  added: PlannedArtifact[],
): { paths: string[]; parts: Part[] } {
  const laid = visibleParts(added.flatMap(fragmentsOf), after).paths
  const wrong = new Set<FragmentEntry>()
  const fragments = new Set<Fragment>()
  for (const [path, { entry, fragment }] of after.files) {
    if (laid.has(path) || sameContent(before.files.get(path)?.entry, entry)) continue
    wrong.add(entry)
    fragments.add(fragment)
  }
  const parts = [...fragments].map((fragment): Part => {
    const part: Part = { fragment, runs: [] }
    for (const entry of fragment.entries) if (wrong.has(entry)) addRun(part, entry)
    return part
  })
  return { paths: [...wrong].map(({ path }) => path), parts }
}
