import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatRecord, parseRecord } from '../../service/image/record.ts'

const path = fc.oneof(fc.stringMatching(/^[\w", /'äß.-]{1,30}$/), fc.string({ unit: 'grapheme', minLength: 1 }))
const row = fc.record(
  {
    path: path.filter((text) => text.isWellFormed()),
    hash: fc.constantFrom('', 'sha256=abc-_'),
    size: fc.constantFrom('', '0', '12'),
  },
  { noNullPrototype: true },
)
const rows = fc.uniqueArray(row, { maxLength: 5, selector: ({ path }) => path })

test('a RECORD that is written is read again, in the order of its paths', () => {
  fc.assert(
    fc.property(rows, (rows) => {
      const sorted = rows.toSorted((a, b) => (a.path < b.path ? -1 : 1))
      assert.deepEqual(parseRecord(formatRecord(rows)), sorted)
    }),
  )
})

test("Python's csv reads the same, and what it writes is read", () => {
  const written = fc.sample(rows, { numRuns: 40, seed: 3 })
  const script = `
import csv, io, json, sys
texts = json.load(sys.stdin)
read = [list(csv.reader(io.StringIO(text, newline=''))) for text in texts]
out = []
for table in read:
    file = io.StringIO(newline='')
    csv.writer(file).writerows(table)
    out.append(file.getvalue())
print(json.dumps([read, out]))`
  const input = JSON.stringify(written.map(formatRecord))
  const [read, rewritten] = JSON.parse(execFileSync('python3', ['-c', script], { input, encoding: 'utf8' }))
  for (const [index, rows] of written.entries()) {
    const sorted = rows.toSorted((a, b) => (a.path < b.path ? -1 : 1))
    assert.deepEqual(
      read[index],
      sorted.map(({ path, hash, size }) => [path, hash, size]),
    )
    assert.deepEqual(parseRecord(rewritten[index]), sorted)
  }
})

for (const [text, line] of [
  ['a,b,c,d\n', 1],
  ['a,,\n,,\n', 2],
  ['a,,x\n', 1],
  ['a,,\n"b,,\n', 2],
  ['"a"b,,\n', 1],
  ['a,,\rb,,', 1],
] as const) {
  test(`refused: ${JSON.stringify(text)}`, () => {
    assert.throws(() => parseRecord(text), { name: 'SyntaxError', message: `line ${line} is no row of a RECORD` })
  })
}
