import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import { tarHeader } from '../../common/tar.ts'
import { deflateHeader } from '../../service/image/header-deflate.ts'

const runs = fc.array(fc.tuple(fc.nat(255), fc.oneof(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 600 }))))

test('zlib inflates it to the same bytes, whatever they are', () => {
  fc.assert(
    fc.property(runs, (runs) => {
      const bytes = Buffer.concat(runs.map(([byte, length]) => Buffer.alloc(length, byte)))
      assert.ok(inflateRawSync(deflateHeader(bytes)).equals(bytes))
    }),
    { numRuns: 500 },
  )
})

test('every length of a run, and every byte', () => {
  for (let length = 0; length < 800; length++) {
    const bytes = Buffer.concat([Buffer.from([length % 256]), Buffer.alloc(length, 7), Buffer.from([255])])
    assert.ok(inflateRawSync(deflateHeader(bytes)).equals(bytes), `${length} times`)
  }
})

test('a header takes little', () => {
  const path = 'opt/env/lib/python3.11/site-packages/package/module.py'
  const header = tarHeader({ path, type: 'file', mode: 0o644, size: 12_345, mtime: 315_532_800 })
  assert.ok(deflateHeader(header).length < 130, `${deflateHeader(header).length} bytes`)
})
