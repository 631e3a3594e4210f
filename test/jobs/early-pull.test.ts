import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PlannedArtifact } from '../../service/image/fragment.ts'
import { EarlyPull } from '../../service/jobs/early-pull.ts'

function artifact(name: string, size: number): PlannedArtifact {
  const digest = `sha256:${'0'.repeat(64)}` as const
  return { name, version: '1', files: { digest, size, tarSize: size, entries: [], manifest: digest } }
}

const unexpected = (error: unknown) => assert.fail(String(error))

test('brings what is complete from the first name on, one pull at a time, and nothing after its end', async () => {
  const pulls: string[][] = []
  const gates: PromiseWithResolvers<string>[] = []
  const early = new EarlyPull(
    ['d', 'a', 'e', 'c', 'b'],
    (first) => {
      pulls.push(first.map(({ name }) => name))
      const gate = Promise.withResolvers<string>()
      gates.push(gate)
      return gate.promise
    },
    unexpected,
  )
  early.add(artifact('b', 50e6))
  early.add(artifact('c', 50e6))
  assert.deepEqual(pulls, [], 'a is missing')
  early.add(artifact('a', 1e6))
  assert.deepEqual(pulls, [['a', 'b', 'c']])
  early.add(artifact('d', 90e6))
  assert.equal(pulls.length, 1, 'one is under way')
  gates[0]?.resolve('one')
  await new Promise(setImmediate)
  assert.deepEqual(pulls[1], ['a', 'b', 'c', 'd'])
  early.add(artifact('e', 90e6))
  const end = early.end()
  gates[1]?.resolve('two')
  await end
  assert.equal(pulls.length, 2, 'the whole is not for it')
  assert.deepEqual(early.references, ['one', 'two'])
})

test('small images are left to the one pull at the end', () => {
  const early = new EarlyPull(['a', 'b'], () => assert.fail('pulled'), unexpected)
  early.add(artifact('a', 20e6))
  early.add(artifact('b', 19e6))
})

test('a pull that fails is told, and holds nobody up', async () => {
  const told: unknown[] = []
  const early = new EarlyPull(
    ['a', 'b'],
    async () => Promise.reject(new Error('no space')),
    (error) => told.push(error),
  )
  early.add(artifact('a', 50e6))
  await early.end()
  assert.match(String(told[0]), /no space/)
  assert.deepEqual(early.references, [])
})
