import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Admission, NeverFits } from '../../../service/jobs/runs/admission.ts'

const never = new AbortController().signal
const quiet = () => {}

test('what is in use never exceeds the node, and who came first goes first', async () => {
  const needs = fc.array(fc.record({ memory: fc.integer({ min: 1, max: 8 }), cpus: fc.integer({ min: 1, max: 4 }) }), {
    minLength: 1,
    maxLength: 30,
  })
  await fc.assert(
    fc.asyncProperty(needs, async (all) => {
      const admission = new Admission({ memory: 8, cpus: 4 })
      const used = { memory: 0, cpus: 0 }
      const order: number[] = []
      await Promise.all(
        all.map(async (need, index) => {
          const leave = await admission.enter(need, never, quiet)
          order.push(index)
          used.memory += need.memory
          used.cpus += need.cpus
          assert.ok(used.memory <= 8 && used.cpus <= 4)
          await new Promise(setImmediate)
          used.memory -= need.memory
          used.cpus -= need.cpus
          leave()
        }),
      )
      assert.deepEqual(order, [...all.keys()])
      assert.deepEqual(admission.free, { memory: 8, cpus: 4 })
    }),
  )
})

test('who waits hears how many are ahead, whenever that changes', async () => {
  const admission = new Admission({ memory: 1, cpus: 1 })
  const need = { memory: 1, cpus: 1 }
  const heard: number[][] = [[], []]
  const first = await admission.enter(need, never, quiet)
  const second = admission.enter(need, never, (ahead) => heard[0]?.push(ahead))
  const third = admission.enter(need, never, (ahead) => heard[1]?.push(ahead))
  first()
  const leave = await second
  leave()
  await third
  assert.deepEqual(heard, [[0], [1, 0]])
})

test('who gives up waiting makes way', async () => {
  const admission = new Admission({ memory: 2, cpus: 2 })
  const first = await admission.enter({ memory: 1, cpus: 1 }, never, quiet)
  const giveUp = new AbortController()
  const big = admission.enter({ memory: 2, cpus: 2 }, giveUp.signal, quiet)
  const heard: number[] = []
  const small = admission.enter({ memory: 1, cpus: 1 }, never, (ahead) => heard.push(ahead))
  giveUp.abort(new Error('cancelled'))
  await assert.rejects(big, /cancelled/)
  ;(await small)()
  first()
  first()
  assert.deepEqual(admission.free, { memory: 2, cpus: 2 })
  assert.deepEqual(heard, [1])
})

test('a run that is larger than the node is refused, with what there is', async () => {
  const admission = new Admission({ memory: 2 ** 30, cpus: 2 })
  await assert.rejects(admission.enter({ memory: 2 ** 31, cpus: 1 }, never, quiet), (error) => {
    assert.ok(error instanceof NeverFits)
    assert.match(error.message, /2048 MiB .* 1024 MiB/)
    assert.match(error.hint, /MEADOW_NODE_MEMORY/)
    return true
  })
})

test('runs of an earlier process count, whether they fit or not', async () => {
  const admission = new Admission({ memory: 1, cpus: 1 })
  const leave = [admission.occupy({ memory: 1, cpus: 1 }), admission.occupy({ memory: 1, cpus: 1 })]
  let entered = false
  const waiting = admission.enter({ memory: 1, cpus: 1 }, never, quiet).then(() => {
    entered = true
  })
  leave[0]?.()
  await new Promise(setImmediate)
  assert.equal(entered, false)
  leave[1]?.()
  await waiting
})
