import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { jsonFault } from '../../service/api/json-fault.ts'

for (const [text, position] of [
  ['[1, x]', 4],
  ['nope', 1],
  ['{"a":1,}', 7],
  ['{"a":tru}', 8],
  ['[1 2]', 3],
  ['', 0],
  ['{"a":', 5],
  ["{'a':1}", 1],
  ['{"a":1}}', 7],
] as const) {
  test(`the fault of ${text} is at ${position}`, () => {
    assert.match(jsonFault(text), new RegExp(`at position ${position} \\(line 1 column ${position + 1}\\)`))
  })
}

test('what is put into JSON where it does not belong is found there', () => {
  fc.assert(
    fc.property(fc.json(), fc.nat(), (json, nat) => {
      // V8 places a broken escape elsewhere in its string.
      fc.pre(!json.includes('\\'))
      const at = nat % json.length
      const text = `${json.slice(0, at)}\u00a4${json.slice(at)}`
      fc.pre(!isJson(text))
      assert.equal(Number(/at position (\d+)/.exec(jsonFault(text))?.[1]), at, text)
    }),
  )
})

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
