import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { encodeFrame, FRAME_HEADER, type Frame, FrameDecoder, FrameError } from '../../service/engine/frames.ts'

const outcome = { exitCode: 0, signal: null, reason: null, oom: false, seconds: 1.5, error: null }
const json = (value: unknown) => Buffer.from(JSON.stringify(value))

const spoken = fc.oneof(
  fc.record({ kind: fc.constantFrom('stdout', 'stderr', 'result'), payload: fc.uint8Array({ minLength: 1 }) }),
  fc.record({ kind: fc.constant('note'), payload: fc.string().map((text) => json({ text })) }),
  fc.constantFrom(
    { kind: 'began', payload: json({}) },
    { kind: 'outcome', payload: json(outcome) },
    { kind: 'ready', payload: json({ state: 'waiting', python: '3.11.2' }) },
    { kind: 'gap', payload: json({ bytes: 1e9 }) },
  ),
)

/** The bytes of frames that follow each other, and where the last one ends. */
function write(frames: { kind: string; payload: Uint8Array }[], from = 0): { bytes: Buffer; ends: number[] } {
  let offset = from
  const ends: number[] = []
  const parts = frames.map(({ kind, payload }) => {
    const part = encodeFrame(kind as Frame['kind'], offset, 1_700_000_000_000.25, payload)
    offset += kind === 'ready' ? 0 : kind === 'gap' ? 1e9 : payload.length
    ends.push(offset)
    return part
  })
  return { bytes: Buffer.concat(parts), ends }
}

/** Feeds bytes in pieces of the given sizes. */
function feed(decoder: FrameDecoder, bytes: Buffer, sizes: number[]): Frame[] {
  const frames: Frame[] = []
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length] as number
    frames.push(...decoder.push(bytes.subarray(at, at + size)))
    at += size
  }
  return frames
}

const sizes = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1 })

test('frames come out as they were put in, whatever pieces they arrive in', () => {
  fc.assert(
    fc.property(fc.array(spoken), sizes, fc.nat(), (frames, pieces, from) => {
      const { bytes, ends } = write(frames, from)
      const decoded = feed(new FrameDecoder(from), bytes, pieces)
      assert.deepEqual(
        decoded.map((frame) => [frame.kind, frame.end, frame.time]),
        frames.map(({ kind }, index) => [kind, ends[index], 1_700_000_000_000.25]),
      )
      for (const [index, frame] of decoded.entries()) {
        const payload = Buffer.from((frames[index] as { payload: Uint8Array }).payload)
        if (frame.kind === 'stdout' || frame.kind === 'stderr') assert.deepEqual(frame.bytes, payload)
        if (frame.kind === 'result') assert.equal(frame.text, payload.toString())
      }
    }),
  )
})

test('what comes before the marker is left out, frames cut off in the middle too', () => {
  const marker = '0123456789abcdef0123456789abcdef'
  fc.assert(
    fc.property(
      fc.uint8Array(),
      fc.array(spoken),
      fc.array(spoken),
      fc.nat(200),
      sizes,
      (noise, old, frames, cut, pieces) => {
        const before = Buffer.concat([noise, Buffer.from(marker.slice(0, 20)), write(old).bytes.subarray(cut)])
        const { bytes } = write(frames, 7)
        const all = Buffer.concat([before, Buffer.from(marker), bytes])
        const decoded = feed(new FrameDecoder(7, marker), all, pieces)
        assert.deepEqual(
          decoded.map(({ kind }) => kind),
          frames.map(({ kind }) => kind),
        )
      },
    ),
  )
})

test('bytes that are no frames give a FrameError or nothing, never anything else', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 500 }),
      fc.array(spoken),
      fc.nat(100),
      sizes,
      (noise, frames, at, pieces) => {
        const bytes = write(frames).bytes
        const damaged = Buffer.concat([bytes.subarray(0, at), noise, bytes.subarray(at)])
        try {
          feed(new FrameDecoder(), damaged, pieces)
        } catch (error) {
          assert.ok(error instanceof FrameError, String(error))
        }
      },
    ),
    { numRuns: 500 },
  )
})

test('a frame that is too long is refused by its header alone', () => {
  const header = encodeFrame('stdout', 0, 0, Buffer.alloc(0))
  header.writeUInt32BE(0xffffffff, 4)
  assert.throws(() => new FrameDecoder().push(header), /4294967295 bytes is longer than/)
})

test('a missing byte between two frames is an error, not a silent loss', () => {
  const frames = Buffer.concat([
    encodeFrame('stdout', 0, 0, Buffer.from('abc')),
    encodeFrame('stdout', 4, 0, Buffer.from('e')),
  ])
  assert.throws(() => new FrameDecoder().push(frames), /offset 4 instead of 3/)
})

test('an outcome of another shape is refused', () => {
  const frame = encodeFrame('outcome', 0, 0, json({ ...outcome, exitCode: 'zero' }))
  assert.equal(frame.length > FRAME_HEADER, true)
  assert.throws(() => new FrameDecoder().push(frame), FrameError)
})
