import assert from 'node:assert/strict'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type TestContext, test } from 'node:test'
import { type Delivery, DeliveryGroups } from '../../service/api/delivery-groups.ts'
import type { Database } from '../../service/database/database.ts'
import { PrebuildOrder } from '../../service/github/deliveries.ts'
import { temporaryDatabase } from '../support/database.ts'

interface Push {
  body?: string
  commit?: string
  branch?: string
  name?: string
}

function push(id: string, { body = id, commit = 'a', branch = 'main', name = 'octo/garden' }: Push = {}): Delivery {
  const order = { name, commit: commit.repeat(40), before: '0'.repeat(40), branch, defaultBranch: 'main' }
  const asks = { act: 'prebuild' as const, githubId: 7, push: { ...order, ref: `refs/heads/${branch}` } }
  return { id, event: 'push', bodySha256: body, asks }
}

/** Deliveries that arrive in one turn of the event loop, on a database that counts its transactions. */
async function start(t: TestContext) {
  const database = await temporaryDatabase(t)
  let writes = 0
  const write: Database['write'] = (unit) => {
    writes++
    return database.write(unit)
  }
  const groups = new DeliveryGroups({ ...database, write })
  return {
    database,
    writes: () => writes,
    together: (...deliveries: Delivery[]) => Promise.allSettled(deliveries.map((each) => groups.record(each))),
    jobs: async () => {
      const rows = await database.state.selectFrom('jobs').selectAll().orderBy('id').execute()
      return rows.map(({ state, payload }) => {
        const { commit, branch } = PrebuildOrder.parse(JSON.parse(payload))
        return `${branch} ${commit[0]} ${state}`
      })
    },
  }
}

const did = (results: PromiseSettledResult<string>[]) =>
  results.map((result) => (result.status === 'fulfilled' ? result.value : String(result.reason)))

test('many that arrive together share transactions; each is kept and answered for itself', async (t) => {
  const { database, together, writes, jobs } = await start(t)
  const many = Array.from({ length: 300 }, (_, at) => push(`d${at}`, { branch: `b${at % 10}` }))
  const ping: Delivery = { id: 'ping', event: 'ping', bodySha256: 'ping', asks: { act: 'nothing', did: 'ping' } }
  assert.deepEqual(did(await together(...many, ping)), [...many.map(() => 'prebuild'), 'ping'])
  assert.ok(writes() <= 2, `${writes()} transactions`)
  const rows = await database.state.selectFrom('deliveries').select(['id', 'did']).execute()
  assert.equal(rows.length, 301)
  assert.deepEqual(
    await jobs(),
    [...Array(10).keys()].map((branch) => `b${branch} a queued`),
  )
})

test('of one id, or of one body, in one group, the first does what it asks for and the others nothing', async (t) => {
  const { database, together, jobs } = await start(t)
  const results = await together(
    push('one', { body: 'x' }),
    push('one', { body: 'y', commit: 'b' }),
    push('two', { body: 'x', commit: 'c' }),
    push('three', { body: 'z', branch: 'other' }),
  )
  assert.deepEqual(did(results), ['prebuild', 'duplicate', 'duplicate', 'prebuild'])
  assert.deepEqual(await jobs(), ['main a queued', 'other a queued'])
  const pushes = await database.state.selectFrom('pushes').select(['commit_id', 'ref']).orderBy('ref').execute()
  assert.deepEqual(
    pushes.map(({ commit_id, ref }) => `${ref} ${commit_id[0]}`),
    ['refs/heads/main a', 'refs/heads/other a'],
  )
})

test('of the pushes of one branch in one group the last one is left, also where it is back at the first', async (t) => {
  const { together, jobs } = await start(t)
  await together(push('1'), push('2', { commit: 'b' }), push('3', { commit: 'b' }), push('4', { branch: 'other' }))
  assert.deepEqual(await jobs(), ['main a superseded', 'main b queued', 'other a queued'])
  await together(push('5', { commit: 'c' }), push('6', { commit: 'b' }))
  assert.deepEqual(await jobs(), [
    ...['main a superseded', 'main b superseded', 'other a queued'],
    ...['main c superseded', 'main b queued'],
  ])
})

test('a repository that is renamed in the middle of a group holds its new name', async (t) => {
  const { database, together } = await start(t)
  await together(push('1'), push('2', { name: 'octo/park' }), push('3', { name: 'octo/park', branch: 'other' }))
  const rows = await database.state.selectFrom('repositories').select('name').execute()
  assert.deepEqual(rows, [{ name: 'octo/park' }])
})

test('one that cannot be kept fails alone', async (t) => {
  const { database, together, jobs } = await start(t)
  using other = new DatabaseSync(join(database.folder, 'state.db'))
  other.exec(
    `create trigger broken before insert on deliveries when new.id = 'bad' begin select raise(abort, 'no'); end`,
  )
  const results = await together(push('1'), push('bad', { commit: 'b' }), push('2', { commit: 'c' }))
  assert.deepEqual(did(results), ['prebuild', 'Error: no', 'prebuild'])
  assert.deepEqual(await jobs(), ['main a superseded', 'main c queued'])
})

test('after the database was closed nothing is acknowledged', async (t) => {
  const { database, together } = await start(t)
  await database.close()
  assert.deepEqual(did(await together(push('1'), push('2'))), Array(2).fill('Error: the database is closed'))
})
