import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Prepared, type PreparedOptions, type Waiting } from '../../service/source/prepared.ts'

const OPTIONS: PreparedOptions = { later: 0, lifetime: 60_000, most: 2 }

/** A thing that remembers whether it was closed. */
class Thing implements Waiting {
  readonly name: string
  closed = false
  waits = true
  constructor(name: string) {
    this.name = name
  }
  async [Symbol.asyncDispose](): Promise<void> {
    this.closed = true
  }
}

function things(options: Partial<PreparedOptions> = {}) {
  const made: Thing[] = []
  const prepared = new Prepared<Thing>({ ...OPTIONS, ...options })
  const wish = (name: string) =>
    prepared.wish(name, () => {
      made.push(new Thing(name))
      return made.at(-1) as Thing
    })
  const until = async (count: number) => {
    while (made.length < count) await sleep(1)
  }
  return { prepared, made, wish, until }
}

test('what was wished for is made once, and given once', async () => {
  const { prepared, made, wish, until } = things()
  wish('a')
  wish('a')
  assert.equal(await prepared.take('a'), undefined, 'it is not there at once')
  await until(1)
  wish('a')
  assert.equal(await prepared.take('a'), made[0])
  assert.equal(await prepared.take('a'), undefined)
  await prepared[Symbol.asyncDispose]()
  assert.deepEqual([made.length, made[0]?.closed], [1, false])
})

test('the oldest gives way, and what was only wished for is not made any more', async () => {
  const { prepared, made, wish, until } = things()
  for (const [count, name] of ['a', 'b'].entries()) {
    wish(name)
    await until(count + 1)
  }
  wish('c')
  await until(3)
  assert.deepEqual(
    made.map(({ name, closed }) => [name, closed]),
    [
      ['a', true],
      ['b', false],
      ['c', false],
    ],
  )
  assert.equal(await prepared.take('a'), undefined)
  const late = things({ later: 20, most: 1 })
  late.wish('a')
  late.wish('b')
  await late.until(1)
  assert.deepEqual(
    late.made.map(({ name }) => name),
    ['b'],
  )
})

test('what nobody takes is closed, after its time or at the end', async () => {
  const short = things({ lifetime: 1 })
  short.wish('a')
  await short.until(1)
  while (!short.made[0]?.closed) await sleep(1)
  assert.equal(await short.prepared.take('a'), undefined)
  const { prepared, made, wish, until } = things()
  wish('a')
  await until(1)
  wish('b')
  await prepared[Symbol.asyncDispose]()
  assert.deepEqual([made.length, made[0]?.closed], [1, true])
  await sleep(5)
  assert.equal(made.length, 1)
})

test('what cannot be made is not there', async () => {
  const { prepared, made, wish, until } = things()
  let asked = false
  prepared.wish('a', () => {
    asked = true
    throw new Error('no room for another process')
  })
  while (!asked) await sleep(1)
  assert.equal(await prepared.take('a'), undefined)
  wish('a')
  await until(1)
  assert.equal(await prepared.take('a'), made[0])
})

test('what waits no more is closed, not given', async () => {
  const { prepared, made, wish, until } = things()
  wish('a')
  await until(1)
  Object.assign(made[0] as Thing, { waits: false })
  assert.equal(await prepared.take('a'), undefined)
  assert.equal(made[0]?.closed, true)
  wish('a')
  await until(2)
  assert.equal(await prepared.take('a'), made[1])
})
