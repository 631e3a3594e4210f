import { deepEqual, equal, match, rejects, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { BlobMissing, type Digest } from '../../service/blobs/blobs.ts'
import { assembleImage } from '../../service/image/assemble.ts'
import type { Fragment, PlannedArtifact } from '../../service/image/fragment.ts'
import { LAYER_FORMAT } from '../../service/image/keys.ts'
import type { NewLayer, Plan } from '../../service/image/layer-plan.ts'
import { type Layout, layoutArtifact } from '../../service/image/layout.ts'
import { planDelta, planFresh } from '../../service/image/plan.ts'
import { folderEntry } from '../../service/image/skeleton.ts'
import { PlanRefused } from '../../service/image/tree.ts'
import {
  BASE,
  type MadeArtifact,
  MemoryLayerIndex,
  madeModule,
  SITE,
  SKELETON,
  storeArtifact,
} from '../support/fragments.ts'
import { MemoryBlobs } from '../support/memory-blobs.ts'
import { applyLayers } from '../support/trees.ts'

const blobs = new MemoryBlobs()
const load = async (manifest: Digest) => {
  const bytes = blobs.stored.get(manifest)
  if (!bytes) throw new BlobMissing(manifest)
  return JSON.parse(String(bytes)) as Fragment
}

test('a fresh layout is the skeleton and a layer an artifact, in the order of weight and names', async () => {
  const artifacts = await stored(madeModule('b'), madeModule('a', '2'), madeModule('c'))
  const plan = planFresh(request(artifacts))
  deepEqual(titles(plan), ['an empty environment', 'a 2', 'b 1', 'c 1'])
  deepEqual(keys(plan), keys(planFresh(request(artifacts.toReversed()))))
  equal(plan.deadBytes, 0)
  const [a, ...others] = artifacts.toSorted((a, b) => (a.name < b.name ? -1 : 1))
  const weighed = planFresh(request([...others.map((one, at) => ({ ...one, weight: at + 1 })), a as PlannedArtifact]))
  deepEqual(titles(weighed), ['an empty environment', 'c 1', 'b 1', 'a 2'])
})

test('the files of heavy artifacts come first, without their byte code', async () => {
  const artifacts = await stored(
    madeModule('a'),
    { ...madeModule('b'), weight: 4e6 },
    { ...madeModule('c'), weight: 9e6 },
  )
  const plan = planFresh(request(artifacts))
  deepEqual(titles(plan), ['an empty environment', 'c 1', 'b 1', 'c 1 byte code', 'b 1 byte code', 'a 1'])
  const early = planFresh(request(artifacts.slice(1).map(({ bytecode: _, ...files }) => files)))
  deepEqual(keys(plan).slice(0, 3), keys(early))
})

test('pip comes first, with its byte code: it is the same in nearly all environments', async () => {
  const artifacts = await stored(
    { ...madeModule('a'), weight: 9e6 },
    { ...madeModule('pip'), weight: 1e6 },
    madeModule('z'),
  )
  const plan = planFresh(request(artifacts))
  deepEqual(titles(plan), ['an empty environment', 'pip 1', 'a 1', 'a 1 byte code', 'z 1'])
  const other = planFresh(request(artifacts.slice(1)))
  deepEqual(keys(plan).slice(0, 2), keys(other).slice(0, 2))
})

test('an artifact has the same layer in every environment, also where another repeats one of its files', async () => {
  const a = madeModule('a', '1', '')
  const ns = { name: 'ns', version: '1', files: [{ path: `${SITE}/a/__init__.py`, content: '' }] }
  const alone = planFresh(request(await stored(a)))
  const together = planFresh(request(await stored(a, ns, madeModule('z'))))
  equal(together.layers[1]?.key, alone.layers[1]?.key)
})

test('what another hides is left out of a layer', async () => {
  const a = madeModule('a')
  const b = { ...madeModule('b'), files: [{ path: `${SITE}/a/__init__.py`, content: 'other' }] }
  const [, first] = planFresh(request(await stored(a, b))).layers as NewLayer[]
  // METADATA alone: the source lost its path, and its byte code goes with it.
  equal(first?.parts.length, 1)
  deepEqual(
    first?.own.map(({ path }) => path).filter((path) => path.startsWith(`${SITE}/`)),
    [`${SITE}/a-1.dist-info`],
  )
})

test('too many layers: small artifacts share buckets, and a new one changes only its own', async () => {
  const small = await stored(...Array.from({ length: 38 }, (_, index) => madeModule(`small-${index}`)))
  const large = sized(await stored(madeModule('large')), 5_000_000)
  const before = planFresh(request([...small, ...large]))
  equal(before.layers.length, 40)
  const after = planFresh(request([...small, ...large, ...(await stored(madeModule('one-more')))]))
  equal(titles(after)[1], 'large 1')
  equal(after.layers.length, 2 + 3)
  const another = planFresh(request([...small, ...large, ...(await stored(madeModule('one-more'), madeModule('two')))]))
  equal(keys(another).filter((key) => !keys(after).includes(key)).length, 1)
})

test('artifacts that share a layer repeat no path in it', async () => {
  const shared = { path: `${SITE}/ns/__init__.py`, content: '' }
  const made = Array.from({ length: 120 }, (_, index) => madeModule(`p${index}`))
  const artifacts = await stored(...made.map((one) => ({ ...one, files: [shared, ...one.files] })))
  const plan = planFresh(request(artifacts))
  const { layers } = await assembleImage({ base: BASE, plan, blobs, layers: new MemoryLayerIndex() })
  equal(layers.length, 4)
  const tree = await applyLayers(layers, blobs)
  equal([...tree.keys()].filter((path) => path.endsWith('/METADATA')).length, 120)
})

test('too many large artifacts: what counts as small grows', async () => {
  const made = Array.from({ length: 50 }, (_, index) => madeModule(`p${String(index).padStart(3, '0')}`))
  const artifacts = await stored(...made)
  const plan = planFresh(
    request([...sized(artifacts.slice(0, 30), 20_000_000), ...sized(artifacts.slice(30), 9_000_000)]),
  )
  equal(plan.layers.length, 1 + 30 + 3)
  equal(titles(plan)[1], 'p000 1')
})

test('too many layers: byte code of heavy artifacts has its own from 1 MB, where others share', async () => {
  const weighed = (await stored(...Array.from({ length: 12 }, (_, index) => madeModule(`p${index}`)))).map((each) => {
    const [code] = sized([{ ...each, files: each.bytecode ?? each.files }], 1_000_000)
    return { ...each, weight: 5e6, bytecode: code?.files as PlannedArtifact['files'] }
  })
  const light = sized(await stored(...Array.from({ length: 20 }, (_, index) => madeModule(`q${index}`))), 1_000_000)
  const plan = planFresh(request([...weighed, ...light]))
  equal(plan.layers.length, 1 + 12 + 12 + 3)
  match(titles(plan)[13] ?? '', /^p\d+ 1 byte code$/)
})

test('a base with too many layers is refused', () => {
  throws(() => planFresh({ ...request([]), base: { ...BASE, layers: Array(120).fill(null) } }), /has 120 layers/)
})

test('a package twice is refused', async () => {
  const artifacts = await stored(madeModule('a', '1'), madeModule('a', '2'))
  throws(() => planFresh(request(artifacts)), PlanRefused)
})

test('a delta adds the layers of a fresh layout', async () => {
  const parent = layoutOf(planFresh(request(await stored(madeModule('b')))))
  const target = request(await stored(madeModule('a'), madeModule('b')))
  const plan = await planDelta(target, parent, load)
  deepEqual(titles(plan), ['an empty environment', 'b 1', 'a 1'])
  equal(keys(plan)[2], keys(planFresh(target))[1])
  equal(plan.deadBytes, 0)
})

test('nothing changed: nothing is added', async () => {
  const target = request(await stored(madeModule('a')))
  const parent = layoutOf(planFresh(target))
  deepEqual((await planDelta(target, parent, load)).layers, parent.layers)
})

test('a whiteout takes whole folders, and spares what another owns', async () => {
  const shared = (name: string): MadeArtifact => ({
    name,
    version: '1',
    files: [
      { path: `${SITE}/ns/${name}.py`, content: name },
      { path: `${SITE}/ns/${name}/data`, content: name },
    ],
    bytecode: [{ path: `${SITE}/ns/__pycache__/${name}.cpython-311.pyc`, content: name }],
  })
  const parent = layoutOf(planFresh(request(await stored(shared('a'), shared('b'), madeModule('c')))))
  const plan = await planDelta(request(await stored(shared('b'))), parent, load)
  const changes = plan.layers.at(-1) as NewLayer
  deepEqual([changes.kind, changes.title, changes.parts], ['changes', 'removes 5 paths', []])
  deepEqual(
    changes.own.filter(({ type }) => type === 'file').map(({ path }) => path),
    ['.wh.c', '.wh.c-1.dist-info', 'ns/__pycache__/.wh.a.cpython-311.pyc', 'ns/.wh.a', 'ns/.wh.a.py'].map(
      (path) => `${SITE}/${path}`,
    ),
  )
})

test('what a removed artifact hid is copied on top', async () => {
  const path = `${SITE}/ns.py`
  const a = {
    name: 'a',
    version: '1',
    files: [
      { path, content: 'a' },
      { path: `${SITE}/a.py`, content: '' },
    ],
  }
  const b = { name: 'b', version: '1', files: [{ path, content: 'b' }] }
  const parent = layoutOf(planFresh(request(await stored(a, b))))
  const [artifact] = await stored(a)
  const plan = await planDelta(request(artifact ? [artifact] : []), parent, load)
  const changes = plan.layers.at(-1) as NewLayer
  deepEqual([changes.kind, changes.title], ['changes', 'restores 1 path'])
  const entry = artifact?.files.entries[0]
  deepEqual(
    changes.parts.map(({ runs }) => runs),
    [[{ start: entry?.start, end: entry?.end }]],
  )
})

test('what is small of a change is one layer; what is large, and whiteouts of what others take the place of, are not', async () => {
  const folder = { name: 'a', version: '1', files: [{ path: `${SITE}/a/deep/x.py`, content: '' }] }
  const file = { name: 'b', version: '1', files: [{ path: `${SITE}/a`, content: '' }] }
  const parent = layoutOf(planFresh(request(await stored(folder, madeModule('c')))))
  const large = sized(await stored(madeModule('large')), 1_000_000)
  const added = [...(await stored(file, madeModule('c', '2'))), ...large]
  const { layers } = await planDelta(request(added), parent, load)
  deepEqual(
    layers.slice(parent.layers.length).map(({ kind, title }) => [kind, title]),
    [
      ['whiteouts', 'removes 1 path'],
      ['artifacts', 'large 1'],
      ['changes', 'b 1, c 2, removes 1 path'],
    ],
  )
})

test('a delta says when it is worn out by dead bytes', async () => {
  const keep = sized(await stored(madeModule('a')), 70)
  const gone = sized(await stored(madeModule('b')), 25)
  const parent = layoutOf(planFresh(request([...keep, ...gone])))
  const loadSized = async () => gone[0]?.files as Fragment
  const bytecode = { ...parent, artifacts: parent.artifacts.map(({ bytecode: _, ...artifact }) => artifact) }
  const light = await planDelta(request(keep), bytecode, loadSized)
  equal(light.deadBytes > 0, true)
  const heavy = await planDelta(request(sized(await stored(madeModule('c')), 1)), bytecode, loadSized)
  match(heavy.worn ?? '', /^\d+ % of its bytes are dead, more than 25 %$/)
})

test('a delta says when it is worn out by layers, and is none where no engine would take it', async () => {
  const artifacts = await stored(madeModule('a'))
  const layout = layoutOf(planFresh(request(artifacts)))
  const [skeleton, layer] = layout.layers
  const deep = (count: number) => ({
    ...layout,
    layers: [skeleton, ...Array(count - 1).fill(layer)] as Layout['layers'],
  })
  const target = request([...artifacts, ...(await stored(madeModule('b')))])
  equal((await planDelta(target, deep(109), load)).worn?.includes('layers'), false)
  equal((await planDelta(target, deep(110), load)).worn, '111 layers, more than 110')
  const fresh = await planDelta(target, deep(120), load)
  deepEqual([fresh.kind, fresh.parentUnfit], ['fresh', 'it would have 121 layers, and 120 is the most'])
})

test('a parent that does not fit gives a fresh layout, and why', async () => {
  const target = request(await stored(madeModule('a')))
  const parent = layoutOf(planFresh(request(await stored(madeModule('b')))))
  const unfit = async (layout: Layout, changed = target, loader = load) => {
    const plan = await planDelta(changed, layout, loader)
    deepEqual(keys(plan), keys(planFresh(changed)))
    return plan.parentUnfit
  }
  equal(await unfit({ ...parent, base: `sha256:${'0'.repeat(64)}` }), 'the base image is another')
  const skeleton = [...SKELETON, folderEntry('opt/env/share')]
  equal(await unfit(parent, { ...target, skeleton }), 'the skeleton of the environment is another')
  const missing = async (manifest: Digest) => {
    throw new BlobMissing(manifest)
  }
  equal(await unfit(parent, target, missing), 'what its packages hold is no longer stored')
  await rejects(
    planDelta(target, parent, async () => {
      throw new TypeError('another fault')
    }),
    TypeError,
  )
})

function request(artifacts: PlannedArtifact[]) {
  return { base: BASE, skeleton: SKELETON, artifacts }
}

function stored(...made: MadeArtifact[]): Promise<PlannedArtifact[]> {
  return Promise.all(made.map((one) => storeArtifact(one, blobs)))
}

/** The same artifacts, as if their first file took that many bytes and no other any. */
function sized(artifacts: PlannedArtifact[], bytes: number): PlannedArtifact[] {
  return artifacts.map(({ bytecode: _, ...artifact }) => {
    const entries = artifact.files.entries.map((entry, index) => ({ ...entry, start: index && bytes, end: bytes }))
    return { ...artifact, files: { ...artifact.files, size: bytes, entries } }
  })
}

function layoutOf(plan: Plan): Layout {
  const layer = { digest: BASE.digest, diffId: BASE.digest, size: 1, mediaType: '' }
  return {
    format: LAYER_FORMAT,
    base: BASE.digest,
    layers: plan.layers.map(({ kind, key, title, bytes }) => ({ kind, key, title, bytes, layer })),
    artifacts: plan.artifacts.map(layoutArtifact),
    deadBytes: plan.deadBytes,
  }
}

function titles(plan: Plan): string[] {
  return plan.layers.map(({ title }) => title)
}

function keys(plan: Plan): string[] {
  return plan.layers.map(({ key }) => key)
}
