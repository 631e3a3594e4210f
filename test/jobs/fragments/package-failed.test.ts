import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { InterpreterSpec } from '../../../service/interpreter/spec.ts'
import { located, OfPackage } from '../../../service/jobs/fragments/package-failed.ts'

const SPEC: InterpreterSpec = {
  format: 'requirements.txt',
  path: 'requirements.txt',
  files: { 'requirements.txt': 'leaf==1\n\ntrunk==1\n' },
}
const ASKS: Record<string, string[]> = {
  twig: ['branch', 'twig'],
  branch: ['trunk', 'twig'],
  lost: ['found'],
  found: ['lost'],
}

test('a package that fails is told by its line, by the line of what leads to it, or by the file', async () => {
  for (const [name, message] of [
    ['leaf', 'requirements.txt:1: leaf: it is gone'],
    ['branch', 'requirements.txt:3: trunk asks for branch: it is gone'],
    ['twig', 'requirements.txt:3: trunk asks for branch, which asks for twig: it is gone'],
    ['lost', 'requirements.txt: something in it asks for lost: it is gone'],
  ] as const) {
    const error = new OfPackage(name, { name: '', message: 'it is gone', hint: 'Take another.' })
    const said = await located(error, SPEC, async () => (of) => ASKS[of] ?? [])
    assert.ok(said instanceof Error && 'hint' in said)
    assert.deepEqual([said.message, said.hint], [message, 'Take another.'])
  }
  const other = new Error('of no package')
  assert.equal(await located(other, SPEC), other)
})
