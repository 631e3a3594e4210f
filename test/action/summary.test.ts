import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Report } from '../../action/report.ts'
import { size, summaryOf } from '../../action/summary.ts'

const report = (text: string, count = 1): Report => ({
  run: 'run_1',
  outcome: 'failed',
  exitCode: 3,
  message: text,
  stages: Array.from({ length: count }, (_, seq) => ({
    of: 'run_1',
    stage: { kind: 'stage', seq, time: '', name: text, seconds: 1, detail: text, 'bytes-reused': 12_345 },
  })),
  cache: {
    verdict: 'miss',
    reason: text,
    environment: text,
    packages: Array.from({ length: count }, () => ({ name: text, before: text, after: text, why: text })),
    'packages-new': 1,
    'bytes-reused': 0,
    'bytes-transferred': 999,
    image: text,
    resolved: text,
    unpinned: [text],
  },
})

test('nothing that others wrote is markup, and no empty line ends the HTML', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom('<', '>', '&', '"', '\n', '\r', ' ', '`', '*', 'b', '/') }),
      (text) => {
        const html = summaryOf(report(text), text)
        const bare = html.replace(/<\/?(h3|p|code|table|tr|th|td|br)>/g, '')
        assert.doesNotMatch(bare.replace(/&(amp|lt|gt|quot|#39);/g, ''), /[<>&"']/)
        assert.doesNotMatch(html.trimEnd(), /\n\s*\n/)
      },
    ),
  )
})

test('it stays far below 1 MiB', () => {
  assert.ok(Buffer.byteLength(summaryOf(report('x'.repeat(300), 5000), 'y'.repeat(100_000))) < 1_000_000)
  assert.match(summaryOf(report('x', 201), 'y'), /and 1 more/)
})

test('sizes are for people', () => {
  assert.deepEqual([0, 1, 999, 1000, 1_234_567, 9e12].map(size), [
    '0 B',
    '1 B',
    '999 B',
    '1.0 kB',
    '1.2 MB',
    '9000.0 GB',
  ])
})
