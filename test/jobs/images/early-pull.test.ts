import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PlannedArtifact } from '../../../service/image/fragment.ts'
import { EarlyPull } from '../../../service/jobs/images/early-pull.ts'

function artifact(name: string, size: number): PlannedArtifact {
  const digest = `sha256:${'0'.repeat(64)}` as const
  return {
    name,
    version: '1',
    weight: size,
    files: { digest, size, tarSize: size, diffId: digest, entries: [], manifest: digest },
  }
}

const heavy = (name: string, weight: number) => ({ name, weight })
const unexpected = (error: unknown) => assert.fail(String(error))

test('brings the heaviest files that are there without a gap, two pulls at a time, and nothing after its end', async () => {
  const pulls: string[][] = []
  const gates: PromiseWithResolvers<string>[] = []
  const early = new EarlyPull(
    [heavy('d', 90e6), heavy('a', 191e6), heavy('e', 80e6), heavy('c', 150e6), heavy('b', 160e6), heavy('z', 1e6)],
    (first) => {
      pulls.push(first.map(({ name }) => name))
      const gate = Promise.withResolvers<string>()
      gates.push(gate)
      return gate.promise
    },
    unexpected,
  )
  early.add(artifact('b', 50e6), true)
  assert.deepEqual(pulls, [], 'a is missing')
  early.add(artifact('a', 1e6), true)
  early.add(artifact('c', 50e6), true)
  assert.deepEqual(pulls, [
    ['a', 'b'],
    ['a', 'b', 'c'],
  ])
  early.add(artifact('z', 1e6), true)
  early.add(artifact('d', 90e6), true)
  assert.equal(pulls.length, 2, 'two are under way')
  gates[0]?.resolve('one')
  await new Promise(setImmediate)
  assert.deepEqual(pulls[2], ['a', 'b', 'c', 'd'])
  early.add(artifact('e', 39e6), true)
  const end = early.end()
  gates[2]?.resolve('three')
  gates[1]?.resolve('two')
  await end
  assert.equal(pulls.length, 3, 'it is over')
  assert.deepEqual(early.references.toSorted(), ['one', 'three', 'two'])
})

test('brings byte code too as it comes, in the same order; what is small of it is left for the end', async () => {
  const pulls: string[][] = []
  const early = new EarlyPull(
    [heavy('a', 191e6), heavy('c', 90e6), heavy('b', 150e6), heavy('z', 1e6)],
    async (first) => {
      pulls.push(first.map(({ name, bytecode }) => (bytecode ? `${name}+` : name)))
      return 'one'
    },
    unexpected,
  )
  const [a, b, c] = [artifact('a', 20e6), artifact('b', 20e6), artifact('c', 20e6)]
  const compiled = (one: PlannedArtifact, size: number) => ({ ...one, bytecode: artifact(one.name, size).files })
  early.addWhole(compiled(a, 50e6))
  early.add(a, true)
  early.add(b, true)
  assert.deepEqual(pulls, [['a', 'b']], 'files come first')
  await new Promise(setImmediate)
  early.add(c, true)
  assert.deepEqual(pulls[1], ['a+', 'b', 'c'])
  await new Promise(setImmediate)
  early.addWhole(compiled(c, 2e6))
  assert.equal(pulls.length, 2, 'that of b is missing')
  early.addWhole(compiled(b, 0.9e6))
  assert.deepEqual(pulls[2], ['a+', 'b', 'c+'])
  await early.end()
  assert.equal(pulls.length, 3)
})

test('what is everywhere comes before all others, as a whole', async () => {
  const pulls: string[][] = []
  const early = new EarlyPull(
    [heavy('a', 191e6), heavy('pip', 2e6)],
    async (first) => {
      pulls.push(first.map(({ name, bytecode }) => (bytecode ? `${name}+` : name)))
      return 'one'
    },
    unexpected,
  )
  const pip = artifact('pip', 2e6)
  early.add(artifact('a', 50e6), true)
  early.add(pip, true)
  assert.deepEqual(pulls, [], 'its byte code is missing')
  early.addWhole({ ...pip, bytecode: artifact('pip', 1e6).files })
  assert.deepEqual(pulls, [['pip+', 'a']])
  await early.end()
})

test('small images are left to the one pull at the end', () => {
  const early = new EarlyPull([heavy('a', 9e6), heavy('b', 8e6)], () => assert.fail('pulled'), unexpected)
  early.add(artifact('a', 20e6), true)
  early.add(artifact('b', 19e6), true)
})

test('where all is known it is brought at once', () => {
  const early = new EarlyPull([heavy('a', 9e6), heavy('b', 8e6)], () => assert.fail('pulled'), unexpected)
  early.add(artifact('a', 50e6), false)
  early.add(artifact('b', 50e6), false)
})

test('a pull that fails is told, and holds nobody up', async () => {
  const told: unknown[] = []
  const early = new EarlyPull(
    [heavy('a', 9e6)],
    async () => Promise.reject(new Error('no space')),
    (error) => told.push(error),
  )
  early.add(artifact('a', 50e6), true)
  await early.end()
  assert.match(String(told[0]), /no space/)
  assert.deepEqual(early.references, [])
})
