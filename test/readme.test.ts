import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { parse } from 'yaml'

const readme = readFileSync('README.md', 'utf8')
const action = parse(readFileSync('action.yml', 'utf8')) as Record<'inputs' | 'outputs', Record<string, unknown>>

/** The names in the first column of the table under a heading. */
function documented(heading: string): string[] {
  const section = readme.split(/^## /m).find((text) => text.startsWith(`${heading}\n`)) ?? ''
  return [...section.matchAll(/^\| `([\w-]+)` \|/gm)].map((match) => String(match[1])).sort()
}

test('README lists every input of action.yml, and no other', () => {
  assert.deepEqual(documented('Inputs'), Object.keys(action.inputs).sort())
})

test('README lists every output of action.yml, and no other', () => {
  assert.deepEqual(documented('Outputs'), Object.keys(action.outputs).sort())
})

test('README lists every setting of the service, and no other', () => {
  const read = readFileSync('service/config.ts', 'utf8').match(/MEADOW_[A-Z_]+/g) ?? []
  const settings = [...new Set(read)].filter((name) => !name.endsWith('_'))
  assert.deepEqual(documented('Settings of the service'), settings.sort())
})
