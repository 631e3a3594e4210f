import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type LogPiece, LogText, PIECE_BYTES } from '../../../service/jobs/events/log-text.ts'

function bytesOf(pieces: LogPiece[]): Buffer {
  return Buffer.concat(
    pieces.map((piece) => ('text' in piece ? Buffer.from(piece.text) : Buffer.from(piece.base64, 'base64'))),
  )
}

function cut(bytes: Buffer, at: number[]): Buffer[] {
  const ends = [...at.map((each) => each % (bytes.length + 1)), bytes.length].sort((a, b) => a - b)
  return ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end))
}

const cuts = fc.array(fc.nat(), { maxLength: 20 })

test('text stays text, wherever it is cut', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), cuts, (text, at) => {
      const log = new LogText()
      const pieces = cut(Buffer.from(text), at).flatMap((part) => log.push(part))
      assert.equal(log.holds, false)
      assert.deepEqual(log.release(), [])
      assert.equal(
        pieces.map((piece) => ('text' in piece ? piece.text : '(binary)')).join(''),
        Buffer.from(text).toString(),
      )
    }),
  )
})

test('any bytes come out as they went in, and no more than three are held', () => {
  const tricky = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes))
  const nearText = fc
    .array(fc.constantFrom(0x41, 0x80, 0xbf, 0xc2, 0xc3, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0xff), { maxLength: 60 })
    .map((bytes) => Buffer.from(bytes))
  fc.assert(
    fc.property(fc.oneof(tricky, nearText), cuts, (bytes, at) => {
      const log = new LogText()
      const pieces: LogPiece[] = []
      let given = 0
      for (const part of cut(bytes, at)) {
        given += part.length
        pieces.push(...log.push(part))
        assert.ok(given - bytesOf(pieces).length <= 3)
      }
      pieces.push(...log.release())
      assert.ok(bytesOf(pieces).equals(bytes))
    }),
    { numRuns: 1000 },
  )
})

test('much output is cut into pieces, never inside a character', () => {
  const text = '€'.repeat(100_000)
  const log = new LogText()
  const pieces = log.push(Buffer.from(text))
  assert.ok(pieces.every((piece) => 'text' in piece && Buffer.byteLength(piece.text) <= PIECE_BYTES))
  assert.equal(pieces.length, Math.ceil(300_000 / PIECE_BYTES))
  assert.equal(bytesOf(pieces).toString(), text)
})

test('a character that never becomes whole is binary', () => {
  const log = new LogText()
  assert.deepEqual(log.push(Buffer.from([0x61, 0xe2, 0x82])), [{ text: 'a' }])
  assert.equal(log.holds, true)
  assert.deepEqual(log.release(), [{ base64: Buffer.from([0xe2, 0x82]).toString('base64') }])
})
