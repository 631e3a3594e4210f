import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { BatchRefused, batchHeader, readBatch } from '../../common/blob-batch.ts'
import { cut, endsGroup, MOST_PIECE } from '../../common/chunking.ts'
import { digestOf, digestsIn, IndexRefused, indexOf } from '../../common/piece-index.ts'

/** Bytes in parts of some sizes, as a network or disk may give them. */
async function* inParts(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  for (let at = 0, n = 0; at < bytes.length; n++) {
    const size = sizes.length > 0 ? (sizes[n % sizes.length] as number) : bytes.length
    yield bytes.subarray(at, at + size)
    at += size
  }
}

const cutAll = async (bytes: Uint8Array, sizes: readonly number[] = []) => {
  const pieces: Buffer[] = []
  for await (const piece of cut(inParts(bytes, sizes))) pieces.push(piece)
  return pieces
}
const sizes = fc.array(fc.integer({ min: 1, max: 300_000 }), { minLength: 1, maxLength: 5 })

test('pieces are the whole, none too large, and the same however the bytes come', async () => {
  const bytes = fc.record({ length: fc.integer({ min: 0, max: 4_000_000 }), zeros: fc.boolean() })
  await fc.assert(
    fc.asyncProperty(bytes, sizes, async ({ length, zeros }, parts) => {
      const all = zeros ? Buffer.alloc(length) : randomBytes(length)
      const pieces = await cutAll(all)
      assert.ok(Buffer.concat(pieces).equals(all))
      assert.ok(pieces.every(({ length }) => length > 0 && length <= MOST_PIECE))
      assert.deepEqual((await cutAll(all, parts)).map(digestOf), pieces.map(digestOf))
    }),
    { numRuns: 15 },
  )
})

test('an insertion changes the pieces beside it, and no others', async () => {
  const before = randomBytes(8_000_000)
  const after = Buffer.concat([before.subarray(0, 4_000_000), Buffer.from('inserted'), before.subarray(4_000_000)])
  const known = new Set((await cutAll(before)).map(digestOf))
  assert.ok(known.size > 20)
  assert.ok((await cutAll(after)).filter((piece) => !known.has(digestOf(piece))).length <= 2)
})

test('where small files are grouped depends on their names: a change moves no bounds', () => {
  const paths = Array.from({ length: 1000 }, (_, n) => `a/${n}.py`)
  const ends = paths.filter((path) => endsGroup(path, 2000, 2000))
  assert.ok(ends.length > 10 && ends.length < 100, `${ends.length}`)
  const grown = paths.filter((path) => endsGroup(path, path === 'a/500.py' ? 9000 : 2000, 2000))
  assert.deepEqual(
    grown.filter((path) => path !== 'a/500.py'),
    ends.filter((path) => path !== 'a/500.py'),
  )
})

test('an index leads to its lists, they to the pieces; a change of one changes one list', () => {
  const pieces = Array.from({ length: 2000 }, (_, n) => digestOf(Buffer.from(`${n}`)))
  const { index, lists } = indexOf(pieces)
  assert.deepEqual(
    digestsIn('index', index.bytes),
    lists.map(({ digest }) => digest),
  )
  assert.deepEqual(
    lists.flatMap(({ bytes }) => digestsIn('list', bytes)),
    pieces,
  )
  const known = new Set(lists.map(({ digest }) => digest))
  const changed = indexOf(pieces.with(1000, digestOf(Buffer.from('x')))).lists
  assert.ok(changed.filter(({ digest }) => !known.has(digest)).length <= 2)
  assert.deepEqual(digestsIn('empty', indexOf([]).index.bytes), [])
})

test('what is no list is refused', () => {
  for (const text of [
    'x',
    'a'.repeat(64),
    `${'A'.repeat(64)}\n`,
    `${'a'.repeat(63)}\n`,
    `\n`,
    `${'a'.repeat(64)}\n\0`,
  ]) {
    assert.throws(() => digestsIn('mirror', Buffer.from(text)), IndexRefused)
  }
})

test('a batch comes out as it went in, however the bytes come; cut off or overlong it is refused', async () => {
  const blobs = fc.array(fc.uint8Array({ maxLength: 2000 }), { maxLength: 10 })
  await fc.assert(
    fc.asyncProperty(blobs, sizes, fc.nat(), async (all, parts, end) => {
      const body = Buffer.concat(all.flatMap((bytes) => [batchHeader(digestOf(bytes), bytes.length), bytes]))
      const read = async (of: Buffer, most = 2000) => {
        const found: Buffer[] = []
        for await (const { digest, bytes } of readBatch(inParts(of, parts), most)) {
          assert.equal(digest, digestOf(bytes))
          found.push(bytes)
        }
        return found
      }
      assert.deepEqual(await read(body), all.map(Buffer.from))
      const cutOff = body.subarray(0, body.length === 0 ? 0 : end % body.length)
      const starts = new Set([0])
      let start = 0
      for (const { length } of all) {
        start += 36 + length
        starts.add(start)
      }
      if (!starts.has(cutOff.length)) await assert.rejects(read(cutOff), BatchRefused)
      const longest = Math.max(0, ...all.map(({ length }) => length))
      if (longest > 0) await assert.rejects(read(body, longest - 1), BatchRefused)
    }),
    { numRuns: 50 },
  )
})
