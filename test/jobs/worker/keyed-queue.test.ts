import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KeyedQueue } from '../../../service/jobs/worker/keyed-queue.ts'

test('one at a time a key, others beside it; who waited is told', async () => {
  const queue = new KeyedQueue()
  const gate = Promise.withResolvers<void>()
  const order: string[] = []
  const work = (name: string, until?: Promise<void>) => async (waited: boolean) => {
    order.push(`${name}${waited ? ' waited' : ''}`)
    await until
    order.push(`${name} ends`)
  }
  const all = [
    queue.run('a', work('first', gate.promise)),
    queue.run('a', work('second')),
    queue.run('b', work('other')),
  ]
  await new Promise(setImmediate)
  assert.deepEqual(order, ['first', 'other', 'other ends'])
  gate.resolve()
  await Promise.all(all)
  assert.deepEqual(order.slice(3), ['first ends', 'second waited', 'second ends'])
})

test("a failure is its own caller's only, and a key whose work has ended is free", async () => {
  const queue = new KeyedQueue()
  const failing = queue.run('a', async () => {
    throw new Error('no')
  })
  const next = queue.run('a', async (waited) => waited)
  await assert.rejects(failing, /no/)
  assert.equal(await next, true)
  assert.equal(await queue.run('a', async (waited) => waited), false)
})
