import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Pace } from '../../service/api/pace.ts'

test('the first is due at once, the next an interval later, others beside it', () => {
  const pace = new Pace(1000)
  assert.equal(pace.due('a', 5000), 5000)
  assert.equal(pace.due('a', 5001), 6000)
  assert.equal(pace.due('a', 5999), 6000)
  assert.equal(pace.due('b', 5002), 5002)
  assert.equal(pace.due('a', 6001), 7000)
  assert.equal(pace.due('a', 9000), 9000)
})

test('work of one key is never due twice in an interval, and never later than one', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 700 }), { maxLength: 50 }), (gaps) => {
      const pace = new Pace(1000)
      let now = 0
      const due = new Set<number>()
      for (const gap of gaps) {
        now += gap
        const at = pace.due('a', now)
        assert.ok(at >= now && at <= now + 1000)
        due.add(at)
      }
      const times = [...due].sort((a, b) => a - b)
      for (const [index, at] of times.entries()) assert.ok(index === 0 || at - (times[index - 1] as number) >= 1000)
    }),
  )
})
