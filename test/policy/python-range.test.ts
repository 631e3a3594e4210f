import assert from 'node:assert/strict'
import { test } from 'node:test'
import { allowsMinor, allowsPython } from '../../service/policy/python-range.ts'

/** As https://python-poetry.org/docs/dependency-specification/ has them. */
for (const [constraint, allowed, refused] of [
  ['*', ['3.9.2'], []],
  ['^3.9', ['3.9.0', '3.13.1'], ['3.8.20', '4.0.0']],
  ['^3.9.4', ['3.9.4', '3.10.0'], ['3.9.3']],
  ['~3.9', ['3.9.0', '3.9.20'], ['3.10.0']],
  ['~3.9.4', ['3.9.4', '3.9.20'], ['3.9.3', '3.10.0']],
  ['~3', ['3.13.0'], ['4.0.0']],
  ['3.9.*', ['3.9.7'], ['3.10.0']],
  ['>=3.9 <3.12', ['3.9.0', '3.11.9'], ['3.12.0']],
  ['>= 3.9, < 3.12, != 3.10.*', ['3.9.0', '3.11.9'], ['3.10.4', '3.12.0']],
  ['~3.9 || ^3.11', ['3.9.1', '3.11.0'], ['3.10.2']],
] as const) {
  test(`poetry's ${constraint}`, () => {
    for (const version of allowed) assert.ok(allowsPython(constraint, version), version)
    for (const version of refused) assert.ok(!allowsPython(constraint, version), version)
  })
}

test('a minor version that some release of is allowed', () => {
  assert.ok(allowsMinor('^3.9.4', '3.9'))
  assert.ok(!allowsMinor('^3.9.4', '3.8'))
  assert.ok(allowsMinor('whatever this is', '3.8'))
})
