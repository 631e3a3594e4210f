import assert from 'node:assert/strict'
import { once } from 'node:events'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { failBuild, openBuild } from '../../../service/database/builds.ts'
import type { Database } from '../../../service/database/database.ts'
import { claim, enqueue, jobById, LeaseLost, releaseOwner } from '../../../service/database/jobs.ts'
import type { JobRow, JobState } from '../../../service/database/schema.ts'
import { backoffMs } from '../../../service/jobs/worker/backoff.ts'
import type { JobContext, JobHandler } from '../../../service/jobs/worker/handler.ts'
import { startWorker, type Worker, type WorkerOptions } from '../../../service/jobs/worker/worker.ts'
import { startChild } from '../../support/child.ts'
import { temporaryDatabase } from '../../support/database.ts'

class Away extends Error {}

interface Working {
  database: Database & { folder: string }
  worker: Worker
  reports: string[]
}

async function start(
  t: TestContext,
  build: Partial<JobHandler>,
  options: Partial<WorkerOptions> = {},
): Promise<Working> {
  const reports: string[] = []
  // Stopped before the database is closed: hooks run in the order in which they were made.
  let worker: Worker | undefined
  t.after(() => worker?.stop(0))
  const database = await temporaryDatabase(t)
  const handler: JobHandler = { concurrency: 1, run: async () => {}, failed: async () => {}, ...build }
  worker = startWorker({
    database,
    owner: 'one',
    handlers: { build: handler },
    isRetryable: (error) => error instanceof Away,
    report: (message) => reports.push(message),
    backoff: { firstMs: 1, mostMs: 5 },
    abortMs: 50,
    ...options,
  })
  return { database, worker, reports }
}

async function add(database: Database, key: string): Promise<string> {
  return await database.write(async ({ db, notify }) => {
    notify('jobs')
    return (await enqueue(db, { kind: 'build', key, payload: '{}', now: Date.now() })) as string
  })
}

/** Waits until a job is as it should be. The time limit of the test ends what never comes. */
async function until(database: Database, id: string, reached: (job: JobRow) => boolean): Promise<JobRow> {
  for (;;) {
    const job = await jobById(database.state, id)
    if (job !== undefined && reached(job)) return job
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

const inState = (state: JobState) => (job: JobRow) => job.state === state

const aborted = async ({ signal }: JobContext): Promise<never> => {
  if (!signal.aborted) await once(signal, 'abort')
  throw signal.reason
}

test('jobs are done in their order, as many at a time as is allowed', async (t) => {
  const began: string[] = []
  let atOnce = 0
  let most = 0
  const { database } = await start(t, {
    concurrency: 2,
    run: async ({ job }) => {
      began.push(job.key)
      most = Math.max(most, ++atOnce)
      for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
      atOnce -= 1
    },
  })
  const keys = ['a', 'b', 'c', 'd', 'e', 'f']
  const ids: string[] = []
  for (const key of keys) ids.push(await add(database, key))
  for (const id of ids) await until(database, id, inState('done'))
  assert.deepEqual(began, keys)
  assert.equal(most, 2)
})

test('an attempt that may go well later is repeated, and counted', async (t) => {
  const attempts: number[] = []
  const told: unknown[] = []
  const { database, reports } = await start(t, {
    run: async ({ job }) => {
      attempts.push(job.attempts)
      if (job.attempts < 3) throw new Away('the engine is away')
    },
    retrying: (job, error, afterMs) => told.push([job.attempts, (error as Error).message, afterMs <= 5]),
  })
  const job = await until(database, await add(database, 'a'), inState('done'))
  assert.deepEqual(attempts, [1, 2, 3])
  assert.deepEqual(told, [
    [1, 'the engine is away', true],
    [2, 'the engine is away', true],
  ])
  assert.equal(job.error, null)
  assert.equal(reports.length, 2)
})

test('what failed for good is written in the transaction that fails the job', async (t) => {
  const { database } = await start(t, {
    run: async () => {
      throw new Error('no such package')
    },
    failed: async ({ db }, job, error) => {
      await failBuild(db, { id: job.key, message: (error as Error).message, hint: 'h', now: 1 })
    },
  })
  const open = { domain: 'rep', key: 'k', request: '{}', now: 0 }
  const { build } = await database.write(({ db }) => openBuild(db, open))
  const job = await until(database, await add(database, build.id), inState('failed'))
  assert.deepEqual([job.error, job.attempts], ['no such package', 1])
  const row = await database.state.selectFrom('builds').selectAll().executeTakeFirstOrThrow()
  assert.deepEqual([row.state, row.message], ['failed', 'no such package'])
})

test('a failure that cannot be written leaves the job to be taken up again when its lease is over', async (t) => {
  let failures = 0
  const { database, reports } = await start(
    t,
    {
      run: async () => {
        throw new Error('no')
      },
      failed: async () => {
        failures += 1
        if (failures === 1) throw new Error('not now')
      },
    },
    { leaseMs: 1 },
  )
  const id = await add(database, 'a')
  await until(database, id, (job) => {
    // The safety poll would come in 5 s.
    database.notify('jobs')
    return job.state === 'failed'
  })
  assert.equal(failures, 2)
  assert.match(reports[0] ?? '', /could not be written/)
})

test('a job that fails again and again fails in the end, also where its process died each time', async (t) => {
  let runs = 0
  const { database } = await start(
    t,
    {
      run: async () => {
        runs += 1
        throw new Away('away')
      },
    },
    { maxAttempts: 3 },
  )
  const failed = await until(database, await add(database, 'a'), inState('failed'))
  assert.deepEqual([failed.attempts, failed.error, runs], [3, 'away', 3])
  const id = await database.write(async ({ db, notify }) => {
    const job = (await enqueue(db, { kind: 'build', key: 'b', payload: '{}', now: Date.now() })) as string
    await db.updateTable('jobs').set({ attempts: 3 }).where('id', '=', job).execute()
    notify('jobs')
    return job
  })
  const died = await until(database, id, inState('failed'))
  assert.match(died.error ?? '', /begun 3 times/)
  assert.equal(runs, 3)
})

test('a heartbeat keeps the lease for as long as the work takes', async (t) => {
  const gate = Promise.withResolvers<void>()
  const { database } = await start(t, { run: () => gate.promise }, { leaseMs: 10_000, heartbeatMs: 2 })
  const id = await add(database, 'a')
  const begun = await until(database, id, inState('running'))
  const first = begun.lease_until ?? 0
  await until(database, id, (job) => (job.lease_until ?? 0) > first)
  gate.resolve()
  await until(database, id, inState('done'))
})

test('who loses the lease is told, and can commit nothing', async (t) => {
  const told = Promise.withResolvers<unknown>()
  const ended = Promise.withResolvers<void>()
  const { database, reports } = await start(
    t,
    {
      run: async (context) => {
        await aborted(context).catch(told.resolve)
        const late = context.commit(({ db }) =>
          db.insertInto('probes').values({ base: 'sha256:a', probe: '' }).execute(),
        )
        await late.finally(ended.resolve)
      },
    },
    { heartbeatMs: 2 },
  )
  const id = await add(database, 'a')
  await until(database, id, inState('running'))
  const later = Date.now() + 1_000_000
  const stolen = await database.write(({ db }) =>
    claim(db, { owner: 'two', kinds: ['build'], now: later, leaseMs: 1_000_000 }),
  )
  assert.equal(stolen?.id, id)
  assert.ok((await told.promise) instanceof LeaseLost)
  await assert.doesNotReject(ended.promise)
  await until(database, id, () => reports.some((report) => report.includes('somebody else has it')))
  const job = await jobById(database.state, id)
  assert.deepEqual([job?.state, job?.lease_owner], ['running', 'two'])
  assert.deepEqual(await database.state.selectFrom('probes').selectAll().execute(), [])
})

test('what a handler commits while it holds the lease stays', async (t) => {
  const { database } = await start(t, {
    run: async ({ commit }) => {
      await commit(({ db }) => db.insertInto('probes').values({ base: 'sha256:a', probe: '' }).execute())
    },
  })
  await until(database, await add(database, 'a'), inState('done'))
  assert.equal((await database.state.selectFrom('probes').selectAll().execute()).length, 1)
})

test('a stop waits for what ends within the grace, and begins nothing', async (t) => {
  const gate = Promise.withResolvers<void>()
  const { database, worker } = await start(t, { run: () => gate.promise })
  const first = await add(database, 'a')
  await until(database, first, inState('running'))
  const second = await add(database, 'b')
  const stopped = worker.stop(60_000)
  gate.resolve()
  await stopped
  assert.equal((await jobById(database.state, first))?.state, 'done')
  assert.equal((await jobById(database.state, second))?.state, 'queued')
})

test('what does not end within the grace is aborted and handed back, its attempt uncounted', async (t) => {
  const { database, worker } = await start(t, { run: aborted })
  const id = await add(database, 'a')
  await until(database, id, inState('running'))
  await worker.stop(0)
  const job = await jobById(database.state, id)
  assert.deepEqual([job?.state, job?.attempts, job?.lease_owner], ['queued', 0, null])
})

test('a handler that does not listen is fenced off at a stop', async (t) => {
  const gate = Promise.withResolvers<void>()
  const late = Promise.withResolvers<unknown>()
  const { database, worker } = await start(t, {
    run: async ({ commit }) => {
      await gate.promise
      await commit(async () => {}).catch(late.resolve)
    },
  })
  const id = await add(database, 'a')
  await until(database, id, inState('running'))
  await worker.stop(0)
  assert.equal((await jobById(database.state, id))?.state, 'queued')
  gate.resolve()
  assert.ok((await late.promise) instanceof LeaseLost)
})

test('a job whose process was killed is taken up at once by the next process of the node', async (t) => {
  const database = await temporaryDatabase(t)
  const id = await add(database, 'a')
  const child = startChild(t, join(import.meta.dirname, 'children', 'worker.ts'), [database.folder, 'one'])
  await child.line((line) => line === `began ${id}`)
  await child.kill()
  assert.equal((await jobById(database.state, id))?.state, 'running')
  assert.equal(await database.write(({ db }) => releaseOwner(db, 'one')), 1)
  const done = Promise.withResolvers<JobRow>()
  const worker = startWorker({
    database,
    owner: 'one',
    handlers: {
      build: {
        concurrency: 1,
        run: async ({ job }) => done.resolve(job),
        failed: async () => {},
      },
    },
    isRetryable: () => false,
    report: assert.fail,
  })
  const job = await done.promise
  assert.deepEqual([job.id, job.attempts], [id, 2])
  await worker.stop(10_000)
  assert.equal((await jobById(database.state, id))?.state, 'done')
})

test('waits between attempts grow to the most, and are never in step', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 60 }), fc.double({ min: 0, max: 0.999, noNaN: true }), (attempt, random) => {
      const backoff = { firstMs: 1000, mostMs: 60_000 }
      const full = Math.min(60_000, 1000 * 2 ** (attempt - 1))
      const wait = backoffMs(backoff, attempt, random)
      assert.ok(wait >= full / 2 && wait < full)
    }),
  )
})
