import assert from 'node:assert/strict'
import { duplexPair, Readable } from 'node:stream'
import { test } from 'node:test'
import fc from 'fast-check'
import { demultiplex } from '../../service/engine/docker-attach.ts'
import { EngineUnavailable } from '../../service/engine/engine.ts'

function multiplexed(type: number, payload: Uint8Array): Buffer {
  const header = Buffer.alloc(8)
  header.writeUInt8(type, 0)
  header.writeUInt32BE(payload.length, 4)
  return Buffer.concat([header, payload])
}

const pieces = fc.array(fc.record({ type: fc.constantFrom(1, 2), payload: fc.uint8Array({ maxLength: 300 }) }))

test('stdout and stderr come out whole, whatever pieces the stream arrives in', async () => {
  await fc.assert(
    fc.asyncProperty(pieces, fc.integer({ min: 1, max: 64 }), async (said, size) => {
      const [ours, theirs] = duplexPair()
      const { stdout, stderr } = demultiplex(ours)
      const bytes = Buffer.concat(said.map(({ type, payload }) => multiplexed(type, payload)))
      for (let at = 0; at < bytes.length; at += size) theirs.write(bytes.subarray(at, at + size))
      theirs.end()
      const [out, err] = await Promise.all([stdout.toArray(), stderr.toArray()])
      const expected = (type: number) => Buffer.concat(said.filter((each) => each.type === type).map((s) => s.payload))
      assert.deepEqual(Buffer.concat(out), expected(1))
      assert.deepEqual(Buffer.concat(err), expected(2))
    }),
    { numRuns: 50 },
  )
})

test('a slow reader slows the writer, and nothing is lost', async () => {
  const [ours, theirs] = duplexPair()
  const { stdout, stderr } = demultiplex(ours)
  stderr.resume()
  const chunk = multiplexed(1, Buffer.alloc(64 * 1024))
  const total = 200
  let taken = 0
  function* source() {
    for (; taken < total; taken++) yield chunk
  }
  Readable.from(source()).pipe(theirs)
  for (let before = -1; before < taken; ) {
    before = taken
    for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate)
  }
  assert.ok(taken > 3 && taken < 20, `${taken} of ${total} chunks were taken though nobody reads`)
  let read = 0
  for await (const bytes of stdout) read += bytes.length
  assert.equal(read, total * 64 * 1024)
})

test('a stream that ends in the middle of a piece is an error', async () => {
  const [ours, theirs] = duplexPair()
  const { stdout, stderr } = demultiplex(ours)
  stderr.resume()
  theirs.end(multiplexed(1, Buffer.from('whole')).subarray(0, 10))
  await assert.rejects(stdout.toArray(), EngineUnavailable)
})
