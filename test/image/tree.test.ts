import { deepEqual, equal, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { sourceOf } from '../../service/image/pycache.ts'
import { environmentTree, PlanRefused } from '../../service/image/tree.ts'
import { type MadeArtifact, type MadeFile, SITE, SKELETON, storeArtifact } from '../support/fragments.ts'
import { MemoryBlobs } from '../support/memory-blobs.ts'

test('the last of two owners wins, and the clash is reported', async () => {
  const tree = await treeOf({ a: { 'ns/x.py': '1' }, b: { 'ns/x.py': '2' }, c: { 'ns/x.py': '1' }, d: { 'y.py': '' } })
  equal(tree.files.get(`${SITE}/ns/x.py`)?.artifact, 2)
  deepEqual(tree.clashes, [{ path: `${SITE}/ns/x.py`, winner: 'c', losers: ['a', 'b'], identical: false }])
})

test('a clash of equal files is reported as such', async () => {
  const tree = await treeOf({ a: { 'ns/__init__.py': '' }, b: { 'ns/__init__.py': '' } })
  deepEqual(tree.clashes, [{ path: `${SITE}/ns/__init__.py`, winner: 'b', losers: ['a'], identical: true }])
})

test('a file takes the place of a folder and a folder that of a file; each time one path is reported', async () => {
  const tree = await treeOf({ a: { 'm/x': '', 'm/y/z': '' }, b: { m: '' } })
  deepEqual(paths(tree), ['m'])
  deepEqual(tree.clashes, [{ path: `${SITE}/m`, winner: 'b', losers: ['a'], identical: false }])
  const other = await treeOf({ a: { m: '' }, b: { 'm/y/z': '' } })
  deepEqual(paths(other), ['m/y/z'])
  deepEqual(other.clashes, [{ path: `${SITE}/m`, winner: 'b', losers: ['a'], identical: false }])
  equal(other.folders.has(`${SITE}/m/y`), true)
})

test('a link and a file of the same bytes and mode differ', async () => {
  const path = `${SITE}/x`
  const link = { path, content: '', link: 'y', mode: 0o777 }
  const blobs = new MemoryBlobs()
  const made = [
    { name: 'a', version: '1', files: [link] },
    { name: 'b', version: '1', files: [{ path, content: 'y', mode: 0o777 }] },
  ]
  const tree = environmentTree(await Promise.all(made.map((one) => storeArtifact(one, blobs))), SKELETON)
  equal(tree.clashes[0]?.identical, false)
})

test('byte code is seen only with the source it was made from', async () => {
  const pyc = 'ns/__pycache__/x.cpython-311.pyc'
  const hidden = await treeOf({ a: { 'ns/x.py': '1', [pyc]: 'of 1' }, b: { 'ns/x.py': '2' } })
  deepEqual(paths(hidden), ['ns/x.py'])
  const equalSources = await treeOf({ a: { 'ns/x.py': '1', [pyc]: 'of 1' }, b: { 'ns/x.py': '1' } })
  deepEqual(paths(equalSources), [pyc, 'ns/x.py'])
  const covered = await treeOf({ a: { 'ns/x.py': '1', [pyc]: 'of 1' }, b: { 'ns/x.py/data': '' } })
  deepEqual(paths(covered), ['ns/x.py/data'])
  const foreign = await treeOf({ a: { 'ns/x.py': '1' }, b: { [pyc]: 'of something else' } })
  deepEqual(paths(foreign), ['ns/x.py'])
  const withoutSource = await treeOf({ a: { [pyc]: 'never run by Python' } })
  deepEqual(paths(withoutSource), [pyc])
})

test('byte code takes the place of nothing else', async () => {
  const folder = await treeOf({ a: { __pycache__: 'a file' }, b: { 'x.py': '1', '__pycache__/x.cpython-311.pyc': '' } })
  deepEqual(paths(folder), ['__pycache__', 'x.py'])
})

test('the source of byte code', () => {
  equal(sourceOf('a/__pycache__/x.cpython-311.pyc'), 'a/x.py')
  equal(sourceOf('a/__pycache__/x.cpython-311.opt-1.pyc'), 'a/x.py')
  equal(sourceOf('__pycache__/x.y.cpython-313t.pyc'), 'x.y.py')
  equal(sourceOf('a/x.pyc'), undefined)
  equal(sourceOf('a/__pycache__/x.pyc'), undefined)
  equal(sourceOf('a/not__pycache__/x.cpython-311.pyc'), undefined)
})

for (const path of [
  'opt/env/pyvenv.cfg',
  'opt/env/pyvenv.cfg/x',
  'opt/env/bin/python3',
  'opt/env/lib64/x.py',
  'opt/env/lib/python3.11/site-packages',
  'opt/env/x/.wh.y',
  'opt/environment',
  'etc/passwd',
]) {
  test(`no artifact may have ${path}`, async () => {
    const artifact = await storeArtifact(
      { name: 'a', version: '1.0', files: [{ path, content: '' }] },
      new MemoryBlobs(),
    )
    throws(
      () => environmentTree([artifact], SKELETON),
      (error: unknown) => error instanceof PlanRefused && error.message.includes(`a 1.0 has a file /${path}: `),
    )
  })
}

async function treeOf(contents: Record<string, Record<string, string>>) {
  const blobs = new MemoryBlobs()
  const made = Object.entries(contents).map(([name, files]): MadeArtifact => {
    const all = Object.entries(files).map(([path, content]): MadeFile => ({ path: `${SITE}/${path}`, content }))
    return { name, version: '1', files: all }
  })
  return environmentTree(await Promise.all(made.map((one) => storeArtifact(one, blobs))), SKELETON)
}

function paths(tree: { files: Map<string, unknown> }): string[] {
  return [...tree.files.keys()].map((path) => path.slice(SITE.length + 1)).sort()
}
