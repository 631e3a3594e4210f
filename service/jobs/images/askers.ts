import type { Blobs } from '../../blobs/blobs.ts'
import type { PlannedArtifact } from '../../image/fragment.ts'
import { requiresOf } from '../../image/requires.ts'
import type { Askers } from '../../interpreter/lock-diff.ts'

/** Who asks for each package of an environment, by what the packages themselves say: their names, in order. */
export async function askersOf(blobs: Blobs, artifacts: Pick<PlannedArtifact, 'name' | 'files'>[]): Promise<Askers> {
  const always = new Map<string, string[]>()
  const extra = new Map<string, string[]>()
  for (const { name, files } of artifacts) {
    const requires = await requiresOf(blobs, files)
    for (const [asked, into] of [
      [requires.always, always],
      [requires.extra, extra],
    ] as const) {
      for (const each of new Set(asked)) into.set(each, [...(into.get(each) ?? []), name])
    }
  }
  // Whether an extra was asked for is not known here: it counts where nothing else explains a package.
  return (name) => always.get(name) ?? extra.get(name) ?? []
}
