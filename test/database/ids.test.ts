import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newId } from '../../service/database/ids.ts'

const UUID_V7 = /^run_[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

test('ids are UUIDv7, all different, and sort as they were made', () => {
  const ids = Array.from({ length: 20_000 }, () => newId('run'))
  assert.ok(ids.every((id) => UUID_V7.test(id)))
  assert.equal(new Set(ids).size, ids.length)
  assert.deepEqual(ids.toSorted(), ids)
})

test('ids hold the time; a clock that goes back does not bring them out of order', (t) => {
  const now = Date.now() + 1_000_000
  t.mock.timers.enable({ apis: ['Date'], now })
  const first = newId('job')
  assert.equal(Number.parseInt(first.slice(4, 17).replace('-', ''), 16), now)
  t.mock.timers.setTime(now - 500_000)
  const later = Array.from({ length: 5000 }, () => newId('job'))
  assert.deepEqual([first, ...later].toSorted(), [first, ...later])
})
