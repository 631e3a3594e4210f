import { deepEqual, equal } from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { assembleImage } from '../../service/image/assemble.ts'
import type { Fragment } from '../../service/image/fragment.ts'
import { layoutFromJson, layoutToJson } from '../../service/image/layout.ts'
import { planDelta, planFresh } from '../../service/image/plan.ts'
import {
  BASE,
  type MadeArtifact,
  type MadeFile,
  MemoryLayerIndex,
  SITE,
  SKELETON,
  storeArtifact,
} from '../support/fragments.ts'
import { MemoryBlobs } from '../support/memory-blobs.ts'
import { applyLayers, installOneByOne } from '../support/trees.ts'

/** Over a million bytes however well they are compressed: artifacts with it have layers of their own in deltas. */
const LARGE = randomBytes(600_000).toString('hex').repeat(2)

/** Few names, so that artifacts meet in files, in folders, and in files that are another's folders. */
const part = fc.constantFrom('ns', 'a', 'x.py', 'y.py', '__init__.py', '__pycache__')
const path = fc.oneof(
  { weight: 12, arbitrary: fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/')) },
  { weight: 1, arbitrary: fc.constantFrom('ns/__pycache__/x.cpython-311.pyc', '__pycache__/x.cpython-311.pyc') },
  { weight: 1, arbitrary: fc.constantFrom('ns/__pycache__/x.cpython-311.pyc/a', 'ns/__pycache__/y.py') },
)
const file = fc.record({
  path: path.map((below) => `${SITE}/${below}`),
  content: fc.oneof(
    { weight: 40, arbitrary: fc.constantFrom('', '1', '2', 'ns') },
    { weight: 1, arbitrary: fc.constant(LARGE) },
  ),
  mode: fc.constantFrom(0o644, 0o644, 0o755, 0o777),
})
const link = fc.record({
  path: fc.constantFrom('ns', 'a', 'ns/a', 'ns/x.py').map((below) => `${SITE}/${below}`),
  content: fc.constant(''),
  mode: fc.constant(0o777),
  link: fc.constantFrom('ns', '../a'),
})
const files = fc
  .array(fc.oneof({ weight: 9, arbitrary: file }, { weight: 1, arbitrary: link }), { minLength: 1, maxLength: 7 })
  .map(withoutClashes)
/** Each package in three versions, and environments that have some version of some of them. */
const packages = fc.array(fc.tuple(files, files, files), { minLength: 2, maxLength: 5 })
const environments = fc.array(fc.array(fc.nat({ max: 3 }), { minLength: 5, maxLength: 5 }), {
  minLength: 2,
  maxLength: 5,
})

test('whatever changes, deltas leave the tree of a fresh layout, which is that of installing one by one', async () => {
  await fc.assert(
    fc.asyncProperty(packages, environments, async (versions, states) => {
      const blobs = new MemoryBlobs()
      const layers = new MemoryLayerIndex()
      const load = async (manifest: `sha256:${string}`) => JSON.parse(String(blobs.stored.get(manifest))) as Fragment
      let parent: string | undefined
      for (const state of states) {
        const made = versions.flatMap((choices, index) => chosen(index, state[index] ?? 0, choices))
        const artifacts = await Promise.all(made.map((one) => storeArtifact(one, blobs)))
        const request = { base: BASE, skeleton: SKELETON, artifacts: artifacts.toReversed() }
        const expected = installOneByOne(SKELETON, made)
        const plan = parent ? await planDelta(request, layoutFromJson(parent), load) : planFresh(request)
        equal(plan.kind, parent ? 'delta' : 'fresh')
        const image = await assembleImage({ base: BASE, plan, blobs, layers })
        deepEqual(sorted(await applyLayers(image.layers, blobs)), sorted(expected))
        const fresh = await assembleImage({ base: BASE, plan: planFresh(request), blobs, layers })
        deepEqual(sorted(await applyLayers(fresh.layers, blobs)), sorted(expected))
        parent = String(layoutToJson(image.layout))
      }
    }),
    { numRuns: 120 },
  )
})

function chosen(index: number, version: number, choices: MadeFile[][]): MadeArtifact[] {
  const own = choices[version - 1]
  return own ? [{ name: `p${index}`, version: String(version), files: own, bytecode: own.flatMap(compiled) }] : []
}

function compiled({ path, content, link }: MadeFile): MadeFile[] {
  const module = /^(.*\/)(\w+)\.py$/.exec(path)
  if (!module || link !== undefined) return []
  return [{ path: `${module[1]}__pycache__/${module[2]}.cpython-311.pyc`, content: `compiled ${content}` }]
}

/** What one wheel can hold: no path twice, and none below a file, byte code included. */
function withoutClashes(all: MadeFile[]): MadeFile[] {
  const kept: MadeFile[] = []
  for (const one of all) {
    if (kept.some(({ path }) => path === one.path)) continue
    const paths = [one, ...kept].flatMap((made) => [made, ...compiled(made)]).map((made) => made.path)
    if (!paths.some((a) => paths.some((b) => a.startsWith(`${b}/`)))) kept.push(one)
  }
  return kept
}

function sorted(tree: Map<string, string>): [string, string][] {
  return [...tree].sort(([a], [b]) => (a < b ? -1 : 1))
}
