import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pacedLog } from '../../service/api/paced-log.ts'

test('one line an interval, and how many were left out', () => {
  const lines: string[] = []
  let now = 0
  const say = pacedLog(
    (line) => lines.push(line),
    1000,
    () => now,
  )
  for (now of [0, 1, 999, 1000, 1500, 5000]) say(`at ${now}`)
  assert.deepEqual(lines, ['at 0', 'at 1000; 2 more before it', 'at 5000; 1 more before it'])
})
