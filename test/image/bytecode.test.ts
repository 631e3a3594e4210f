import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { bytecodeFragment } from '../../service/image/bytecode.ts'
import { MemoryBlobs } from '../support/memory-blobs.ts'
import { contentsByPython } from '../support/transcode.ts'

const file = fc.record({
  path: fc.stringMatching(/^opt\/env\/lib\/[a-z]{1,90}\/[a-z]{1,20}\.pyc$/),
  content: fc.uint8Array({ maxLength: 3000 }).map((bytes) => Buffer.from(bytes)),
})

test('byte code in any order is one fragment, and Python reads it', async () => {
  const files = fc.uniqueArray(file, { maxLength: 6, selector: ({ path }) => path })
  const inTwoOrders = files.chain((one) =>
    fc.tuple(fc.constant(one), fc.shuffledSubarray(one, { minLength: one.length })),
  )
  await fc.assert(
    fc.asyncProperty(inTwoOrders, async ([files, shuffled]) => {
      const blobs = new MemoryBlobs()
      const fragment = await bytecodeFragment(files, blobs)
      assert.deepEqual(await bytecodeFragment(shuffled, blobs), fragment)
      const members = blobs.stored.get(fragment.digest) ?? Buffer.alloc(0)
      assert.equal(fragment.size, members.length)
      const contents = contentsByPython(members)
      const sorted = files.toSorted((a, b) => (a.path < b.path ? -1 : 1))
      assert.deepEqual(
        [...contents],
        sorted.map(({ path, content }) => [path, content]),
      )
      assert.deepEqual(
        fragment.entries.map(({ path, mode }) => [path, mode]),
        sorted.map(({ path }) => [path, 0o644]),
      )
    }),
    { numRuns: 20 },
  )
})
