import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { BrokenFrames, Frames } from '../../service/builder/frames.ts'

/** A stream of some bytes, cut at the given places. */
function cut(bytes: Buffer, places: number[]): Readable {
  const ends = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b)
  return Readable.from([0, ...ends].map((start, index) => bytes.subarray(start, ends[index] ?? bytes.length)))
}

describe('frames of a step', () => {
  test('come out as they went in, however the stream is cut', async () => {
    const content = fc.uint8Array({ maxLength: 50 }).map((bytes) => Buffer.from(bytes))
    await fc.assert(
      fc.asyncProperty(fc.array(content), fc.array(fc.nat(1000)), fc.boolean(), async (contents, places, inPieces) => {
        const frames = new Frames(
          cut(Buffer.concat(contents.flatMap((one) => [Buffer.from(`{"size":${one.length}}\n`), one])), places),
        )
        for (const expected of contents) {
          assert.deepEqual(await frames.line(), { size: expected.length })
          const pieces: Buffer[] = []
          if (inPieces) for await (const piece of frames.pieces(expected.length)) pieces.push(piece)
          else pieces.push(await frames.bytes(expected.length))
          assert.deepEqual(Buffer.concat(pieces), expected)
        }
        assert.equal(await frames.line(), undefined)
      }),
    )
  })

  test('an end within a line or within bytes, and a line that is no JSON', async () => {
    await assert.rejects(new Frames(Readable.from([Buffer.from('{"a"')])).line(), BrokenFrames)
    await assert.rejects(new Frames(Readable.from([Buffer.from('hello\n')])).line(), BrokenFrames)
    await assert.rejects(new Frames(Readable.from([Buffer.from('abc')])).bytes(5), BrokenFrames)
    const early = async () => {
      for await (const _ of new Frames(Readable.from([Buffer.from('abc')])).pieces(5));
    }
    await assert.rejects(early, BrokenFrames)
  })
})
