import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { BlobMissing, BlobRefused, type Blobs, BlobsFull, type Digest } from '../../service/blobs/blobs.ts'
import { openFileBlobs } from '../../service/blobs/files.ts'
import { startChild } from '../support/child.ts'
import { temporaryFolder } from '../support/repositories.ts'

async function temporaryBlobs(t: TestContext): Promise<{ folder: string; blobs: Blobs }> {
  const folder = join(await temporaryFolder(t), 'blobs')
  return { folder, blobs: await openFileBlobs(folder) }
}

function digestOf(bytes: Uint8Array): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

async function* inChunks(bytes: Buffer, sizes: number[]): AsyncGenerator<Buffer> {
  // One buffer for all chunks, as producers that are thrifty do.
  const chunk = Buffer.alloc(Math.max(1, ...sizes))
  for (let at = 0, index = 0; at < bytes.length; index++) {
    const length = bytes.copy(chunk, 0, at, at + (sizes[index % sizes.length] ?? 1))
    yield chunk.subarray(0, length)
    at += length
  }
}

/** What lies in the folder, apart from empty folders. */
function files(folder: string): string[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
}

test('bytes come back as they were put, however they were cut', async (t) => {
  const { blobs } = await temporaryBlobs(t)
  const sizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 600_000 })), {
    minLength: 1,
  })
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: 1_000_000 }), sizes, async (length, cuts) => {
      const bytes = randomBytes(length)
      // Very small cuts of much would take long and tell nothing more.
      const chunks = cuts.map((size) => Math.max(size, Math.ceil(length / 2000)))
      const stored = await blobs.put(inChunks(bytes, chunks), { digest: digestOf(bytes), maxBytes: length })
      assert.deepEqual(stored, { digest: digestOf(bytes), size: length })
      assert.equal(await blobs.size(stored.digest), length)
      assert.ok((await buffer(await blobs.open(stored.digest))).equals(bytes))
      const [start, end] = [Math.floor(length / 3), Math.ceil(length / 2)]
      assert.ok((await buffer(await blobs.open(stored.digest, { start, end }))).equals(bytes.subarray(start, end)))
      const parts = Readable.from(
        blobs.parts(stored.digest, [
          { start, end },
          { start: 0, end: start },
        ]),
      )
      assert.ok((await buffer(parts)).equals(Buffer.concat([bytes.subarray(start, end), bytes.subarray(0, start)])))
    }),
    { numRuns: 25 },
  )
})

test('ranges are exact; an empty one is empty, one beyond the end is refused', async (t) => {
  const { blobs } = await temporaryBlobs(t)
  const { digest } = await blobs.put(Buffer.from('0123456789'))
  const read = async (start: number, end: number) => String(await buffer(await blobs.open(digest, { start, end })))
  assert.equal(await read(0, 1), '0')
  assert.equal(await read(9, 10), '9')
  assert.equal(await read(10, 10), '')
  for (const [start, end] of [
    [0, 11],
    [5, 4],
    [-1, 3],
  ] as const) {
    await assert.rejects(read(start, end), RangeError)
    await assert.rejects(blobs.parts(digest, [{ start, end }])[Symbol.asyncIterator]().next(), RangeError)
  }
})

test('what is not what was announced is refused and leaves nothing', async (t) => {
  const { folder, blobs } = await temporaryBlobs(t)
  const other = digestOf(Buffer.from('other'))
  await assert.rejects(blobs.put(Buffer.from('bytes'), { digest: other }), BlobRefused)
  await assert.rejects(blobs.put(Buffer.from('bytes'), { maxBytes: 4 }), BlobRefused)
  let asked = 0
  async function* endless(): AsyncGenerator<Buffer> {
    for (;;) {
      asked += 1
      yield Buffer.alloc(1000)
    }
  }
  await assert.rejects(blobs.put(endless(), { maxBytes: 10_000 }), BlobRefused)
  assert.equal(asked, 11)
  const torn = Readable.from(
    (async function* () {
      yield Buffer.alloc(1_000_000)
      throw new Error('the connection was lost')
    })(),
  )
  await assert.rejects(blobs.put(torn), /connection was lost/)
  assert.deepEqual(files(folder), [])
})

test('a blob that is not there is missing; a name that is no digest leads nowhere', async (t) => {
  const { blobs } = await temporaryBlobs(t)
  const absent = digestOf(Buffer.from('absent'))
  assert.equal(await blobs.size(absent), undefined)
  await assert.rejects(blobs.open(absent), (error) => error instanceof BlobMissing && error.digest === absent)
  await blobs.remove(absent)
  const hostile = 'sha256:../../../../etc/passwd' as Digest
  for (const call of [() => blobs.size(hostile), () => blobs.open(hostile), () => blobs.remove(hostile)]) {
    await assert.rejects(call(), TypeError)
  }
})

test('many put the same at once; a reader keeps what it opened', async (t) => {
  const { folder, blobs } = await temporaryBlobs(t)
  const bytes = randomBytes(300_000)
  const stored = await Promise.all(Array.from({ length: 20 }, () => blobs.put(inChunks(bytes, [70_000]))))
  assert.ok(stored.every(({ digest }) => digest === digestOf(bytes)))
  assert.equal(files(folder).length, 1)
  const reader = await blobs.open(digestOf(bytes))
  await blobs.remove(digestOf(bytes))
  assert.ok((await buffer(reader)).equals(bytes))
  assert.equal(await blobs.size(digestOf(bytes)), undefined)
})

test('what a crash left half done is removed at the next start; what others write just now is not', async (t) => {
  const { folder, blobs } = await temporaryBlobs(t)
  const child = startChild(t, join(import.meta.dirname, 'children', 'half-put.ts'), [folder])
  await child.line((line) => line === 'half')
  const { promise: gate, resolve: open } = Promise.withResolvers<void>()
  const mine = blobs.put(
    (async function* () {
      yield Buffer.from('first ')
      await gate
      yield Buffer.from('second')
    })(),
  )
  // An earlier process may have had this one's number.
  writeFileSync(join(folder, 'temp', `${process.pid}-00000000-0000-0000-0000-000000000000`), 'left')
  await blobs.put(Buffer.from('the temporary file of the put before is there by now'))
  const again = await openFileBlobs(folder)
  assert.equal(readdirSync(join(folder, 'temp')).length, 2)
  await child.kill()
  await openFileBlobs(folder)
  assert.equal(readdirSync(join(folder, 'temp')).length, 1)
  open()
  const { digest } = await mine
  assert.equal(String(await buffer(await again.open(digest))), 'first second')
  assert.deepEqual(readdirSync(join(folder, 'temp')), [])
})

test('a full disk is said so, and leaves nothing', async (t) => {
  const disk = join(await temporaryFolder(t), 'disk')
  mkdirSync(disk)
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', disk]).status !== 0) {
    return t.skip('only root may mount a small disk')
  }
  try {
    const blobs = await openFileBlobs(disk)
    const { digest } = await blobs.put(randomBytes(2_000_000))
    await assert.rejects(
      blobs.put(inChunks(randomBytes(6_000_000), [50_000])),
      (error) => error instanceof BlobsFull && /MEADOW_DATA/.test(error.hint),
    )
    assert.deepEqual(readdirSync(join(disk, 'temp')), [])
    assert.equal(await blobs.size(digest), 2_000_000)
    assert.equal((await blobs.put(randomBytes(1_000_000))).size, 1_000_000)
  } finally {
    execFileSync('umount', [disk])
  }
})

test('nobody else may read what is stored', async (t) => {
  const { folder, blobs } = await temporaryBlobs(t)
  await blobs.put(Buffer.from('bytes'))
  const stored = files(folder).map((name) => join(folder, name))
  assert.equal(stored.length, 1)
  for (const path of [folder, ...stored]) assert.equal(statSync(path).mode & 0o077, 0, path)
})
