import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Database } from '../../service/database/database.ts'
import {
  claim,
  enqueue,
  failJob,
  finishJob,
  handBack,
  holdLease,
  jobById,
  LeaseLost,
  nextDue,
  releaseOwner,
  renew,
  retryLater,
} from '../../service/database/jobs.ts'
import type { JobKind, JobRow } from '../../service/database/schema.ts'
import { temporaryDatabase } from '../support/database.ts'

async function add(database: Database, key: string, more: { kind?: JobKind; supersedes?: string; now?: number } = {}) {
  const job = { kind: 'prebuild' as const, key, payload: '{}', now: 0, ...more }
  const id = await database.write(({ db }) => enqueue(db, job))
  return { id: id ?? '', created: id !== undefined }
}

async function take(database: Database, now = 0, owner = 'node', kinds: JobKind[] = ['prebuild']): Promise<JobRow> {
  const job = await database.write(({ db }) => claim(db, { owner, kinds, now, leaseMs: 100 }))
  assert.ok(job)
  return job
}

test('a job of a kind and key is queued once while it is active', async (t) => {
  const database = await temporaryDatabase(t)
  const first = await add(database, 'a')
  assert.equal(first.created, true)
  assert.equal((await add(database, 'a')).created, false)
  assert.notEqual((await add(database, 'a', { kind: 'run' })).id, first.id)
  const job = await take(database)
  assert.equal((await add(database, 'a')).created, false)
  await database.write(({ db }) => finishJob(db, { ...job, now: 5 }))
  assert.equal((await add(database, 'a')).created, true)
})

test('the oldest job that is due is claimed, of the kinds that are asked for', async (t) => {
  const database = await temporaryDatabase(t)
  await add(database, 'later', { now: 20 })
  const a = await add(database, 'a', { now: 10 })
  const b = await add(database, 'b', { now: 10 })
  const run = await add(database, 'c', { now: 5, kind: 'run' })
  const none = await database.write(({ db }) => claim(db, { owner: 'o', kinds: ['prebuild'], now: 9, leaseMs: 100 }))
  assert.equal(none, undefined)
  assert.equal(await nextDue(database.state, ['prebuild']), 10)
  assert.equal((await take(database, 10)).id, a.id)
  assert.equal((await take(database, 10)).id, b.id)
  assert.equal((await take(database, 10, 'node', ['prebuild', 'run'])).id, run.id)
})

test('a newer job of a group supersedes the ones that are queued, not the one that runs', async (t) => {
  const database = await temporaryDatabase(t)
  const running = await add(database, 'a', { supersedes: 'main' })
  await take(database)
  const queued = await add(database, 'b', { supersedes: 'main' })
  const other = await add(database, 'c', { supersedes: 'side' })
  const newest = await add(database, 'd', { supersedes: 'main', now: 7 })
  const states = async () =>
    await Promise.all(
      [running, queued, other, newest].map(async ({ id }) => (await jobById(database.state, id))?.state),
    )
  assert.deepEqual(await states(), ['running', 'superseded', 'queued', 'queued'])
  assert.equal((await jobById(database.state, queued.id))?.finished, 7)
  // Pushed again while it runs: it is the newest now.
  assert.equal((await add(database, 'a', { supersedes: 'main' })).created, false)
  assert.deepEqual(await states(), ['running', 'superseded', 'queued', 'superseded'])
})

test('who lost its lease can commit nothing, renew nothing and end nothing', async (t) => {
  const database = await temporaryDatabase(t)
  await add(database, 'a')
  const first = await take(database, 0, 'one')
  assert.equal(await database.write(({ db }) => renew(db, { ...first, owner: 'one', until: 150 })), true)
  const tooEarly = await database.write(({ db }) =>
    claim(db, { owner: 'two', kinds: ['prebuild'], now: 149, leaseMs: 100 }),
  )
  assert.equal(tooEarly, undefined)
  const second = await take(database, 150, 'two')
  assert.deepEqual([second.id, second.fence, second.attempts], [first.id, first.fence + 1, 2])
  const fenced = database.write(async ({ db }) => {
    await db.insertInto('probes').values({ base: 'sha256:a', probe: 'a' }).execute()
    await holdLease(db, first)
  })
  await assert.rejects(fenced, LeaseLost)
  assert.deepEqual(await database.state.selectFrom('probes').selectAll().execute(), [])
  assert.equal(await database.write(({ db }) => renew(db, { ...first, owner: 'one', until: 500 })), false)
  for (const end of [finishJob, failJob, retryLater, handBack]) {
    const late = database.write(({ db }) => end(db, { ...first, now: 1, error: 'e', runAfter: 1 }))
    await assert.rejects(late, LeaseLost, end.name)
  }
  await database.write(({ db }) => holdLease(db, second))
  await database.write(({ db }) => finishJob(db, { ...second, now: 200 }))
  await assert.rejects(
    database.write(({ db }) => holdLease(db, second)),
    LeaseLost,
  )
})

test('an attempt that is handed back is not counted, one that is tried later is', async (t) => {
  const database = await temporaryDatabase(t)
  const { id } = await add(database, 'a')
  const first = await take(database)
  await database.write(({ db }) => handBack(db, first))
  const second = await take(database)
  assert.equal(second.attempts, 1)
  await database.write(({ db }) => retryLater(db, { ...second, runAfter: 50, error: 'the engine is away' }))
  assert.equal(await nextDue(database.state, ['prebuild']), 50)
  const third = await take(database, 50)
  assert.deepEqual([third.attempts, third.error], [2, 'the engine is away'])
  await database.write(({ db }) => failJob(db, { ...third, error: 'no', now: 60 }))
  const failed = await jobById(database.state, id)
  assert.deepEqual([failed?.state, failed?.error, failed?.finished, failed?.lease_owner], ['failed', 'no', 60, null])
})

test('a node that starts again gives back what it was doing, and only that', async (t) => {
  const database = await temporaryDatabase(t)
  await add(database, 'a')
  await add(database, 'b')
  const mine = await take(database, 0, 'one')
  await take(database, 0, 'two')
  assert.equal(await database.write(({ db }) => releaseOwner(db, 'one')), 1)
  assert.equal((await take(database, 0, 'one')).id, mine.id)
})

test('whatever happens in whatever order, a key has one active job and a job has one holder', async (t) => {
  const database = await temporaryDatabase(t)
  const step = fc.oneof(
    fc.record({ does: fc.constant('add' as const), key: fc.integer({ min: 0, max: 3 }), group: fc.boolean() }),
    fc.record({ does: fc.constant('claim' as const), after: fc.integer({ min: 0, max: 80 }) }),
    fc.record({ does: fc.constantFrom('finish', 'fail', 'retry', 'back'), holder: fc.nat() }),
  )
  let round = 0
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      round += 1
      let now = 0
      const claims: JobRow[] = []
      for (const each of steps) {
        if (each.does === 'add' && 'key' in each) {
          await add(database, `${round}-${each.key}`, { now, ...(each.group && { supersedes: `${round}` }) })
        } else if (each.does === 'claim' && 'after' in each) {
          now += each.after
          const job = await database.write(({ db }) =>
            claim(db, { owner: 'o', kinds: ['prebuild'], now, leaseMs: 100 }),
          )
          if (job === undefined) continue
          const earlier = claims.filter(({ id }) => id === job.id).map(({ fence }) => fence)
          assert.ok(
            earlier.every((fence) => fence < job.fence),
            'a fence was given twice',
          )
          claims.push(job)
        } else if ('holder' in each && claims.length > 0) {
          const job = claims[each.holder % claims.length] as JobRow
          const holds = await jobById(database.state, job.id)
          const end = { finish: finishJob, fail: failJob, retry: retryLater, back: handBack }[each.does as 'finish']
          const ended = await database
            .write(({ db }) => end(db, { ...job, now, ...{ error: 'e', runAfter: now + 10 } }))
            .then(() => true)
            .catch((error: unknown) => {
              assert.ok(error instanceof LeaseLost)
              return false
            })
          assert.equal(ended, holds?.state === 'running' && holds.fence === job.fence)
        }
      }
      const active = await database.state
        .selectFrom('jobs')
        .select('key')
        .where('key', 'like', `${round}-%`)
        .where('state', 'in', ['queued', 'running'])
        .execute()
      assert.equal(new Set(active.map(({ key }) => key)).size, active.length)
      await database.write(({ db }) => db.deleteFrom('jobs').execute())
    }),
    { numRuns: 60 },
  )
})
