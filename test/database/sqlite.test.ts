import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { claimFolder, FolderTaken } from '../../service/database/claim-folder.ts'
import type { Database } from '../../service/database/database.ts'
import { UnitTooLong } from '../../service/database/group-commit.ts'
import { SchemaTooNew } from '../../service/database/migrations.ts'
import { openSqlite } from '../../service/database/sqlite.ts'
import { startChild } from '../support/child.ts'
import { temporaryDatabase } from '../support/database.ts'
import { temporaryFolder } from '../support/repositories.ts'

const child = (name: string) => join(import.meta.dirname, 'children', name)

async function probes(database: Database): Promise<string[]> {
  return (await database.state.selectFrom('probes').select('probe').orderBy('probe').execute()).map((row) => row.probe)
}

function insert(database: Database, probe: string): Promise<unknown> {
  return database.write(({ db }) =>
    db
      .insertInto('probes')
      .values({ base: `sha256:${probe}`, probe })
      .execute(),
  )
}

test('a unit that throws is rolled back alone; those that wait with it are committed', async (t) => {
  const database = await temporaryDatabase(t)
  const fails = database.write(async ({ db }) => {
    await db.insertInto('probes').values({ base: 'sha256:b', probe: 'b' }).execute()
    throw new Error('no')
  })
  const results = await Promise.allSettled([insert(database, 'a'), fails, insert(database, 'c')])
  assert.deepEqual(
    results.map((result) => result.status),
    ['fulfilled', 'rejected', 'fulfilled'],
  )
  assert.deepEqual(await probes(database), ['a', 'c'])
})

test('a unit that breaks a constraint in a statement leaves nothing of itself, alone or among others', async (t) => {
  const database = await temporaryDatabase(t)
  await insert(database, 'a')
  const breaks = () =>
    database.write(async ({ db }) => {
      await db.insertInto('probes').values({ base: 'sha256:b', probe: 'b' }).execute()
      await db.insertInto('probes').values({ base: 'sha256:a', probe: 'again' }).execute()
    })
  await assert.rejects(breaks(), /UNIQUE constraint failed/)
  assert.deepEqual(await probes(database), ['a'])
  const among = breaks()
  await Promise.all([assert.rejects(among, /UNIQUE constraint failed/), insert(database, 'c')])
  assert.deepEqual(await probes(database), ['a', 'c'])
})

test('units run one after the other, each seeing what the one before it wrote', async (t) => {
  const database = await temporaryDatabase(t)
  const seen = await Promise.all(
    ['a', 'b', 'c'].map((probe) =>
      database.write(async ({ db }) => {
        const before = await db.selectFrom('probes').select('probe').execute()
        await db
          .insertInto('probes')
          .values({ base: `sha256:${probe}`, probe })
          .execute()
        return before.length
      }),
    ),
  )
  assert.deepEqual(seen, [0, 1, 2])
})

test('units that wait at the same time share a commit', async (t) => {
  const database = await temporaryDatabase(t)
  const watcher = new DatabaseSync(join(database.folder, 'state.db'))
  t.after(() => watcher.close())
  // Frames of the log: one commit of 50 rows in one page writes each page once, fifty commits fifty times.
  const frames = () => Number(watcher.prepare('PRAGMA wal_checkpoint(PASSIVE)').get()?.log)
  const before = frames()
  await Promise.all(Array.from({ length: 50 }, (_, index) => insert(database, String(index))))
  assert.equal((await probes(database)).length, 50)
  assert.ok(frames() - before < 10, `${frames() - before} frames`)
})

test('readers see nothing of a unit before its commit, and can write nothing', async (t) => {
  const database = await temporaryDatabase(t)
  await database.write(async ({ db }) => {
    await db.insertInto('probes').values({ base: 'sha256:a', probe: 'a' }).execute()
    assert.deepEqual(await probes(database), [])
  })
  assert.deepEqual(await probes(database), ['a'])
  await assert.rejects(database.state.deleteFrom('probes').execute(), /readonly/)
})

test('a query that outlives its unit, a unit inside a unit and one after the end are refused', async (t) => {
  const database = await temporaryDatabase(t)
  const late = await database.write(async ({ db }) => ({ query: () => db.selectFrom('probes').selectAll().execute() }))
  await assert.rejects(late.query(), /after the end of its unit/)
  await assert.rejects(
    database.write(() => insert(database, 'a')),
    /wait for itself/,
  )
  await insert(database, 'b')
  await database.close()
  await assert.rejects(insert(database, 'c'), /closed/)
})

test('a unit that waits for something outside is rolled back, and the others go on', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const database = await temporaryDatabase(t)
  const begun = Promise.withResolvers<void>()
  const stuck = database.write(async ({ db }) => {
    await db.insertInto('probes').values({ base: 'sha256:a', probe: 'a' }).execute()
    begun.resolve()
    await new Promise(() => {})
  })
  const next = insert(database, 'b')
  await begun.promise
  t.mock.timers.tick(10_000)
  await assert.rejects(stuck, UnitTooLong)
  await next
  assert.deepEqual(await probes(database), ['b'])
})

test('closing finishes what is queued', async (t) => {
  const database = await temporaryDatabase(t)
  const writes = Promise.all(['a', 'b', 'c'].map((probe) => insert(database, probe)))
  await database.close()
  await writes
  const again = openSqlite(database.folder)
  t.after(() => again.close())
  assert.deepEqual(await probes(again), ['a', 'b', 'c'])
})

test('a commit that fails rejects all of its units, and the next one works', async (t) => {
  const database = await temporaryDatabase(t)
  // A reference that is checked at the commit only.
  const other = new DatabaseSync(join(database.folder, 'state.db'))
  other.exec(`create table broken (id text references probes (base) deferrable initially deferred)`)
  other.close()
  const breaks = database.write(async ({ db }) => {
    await db
      .insertInto('broken' as 'probes')
      .values({ id: 'nowhere' } as never)
      .execute()
  })
  const results = await Promise.allSettled([insert(database, 'a'), breaks, insert(database, 'b')])
  assert.ok(results.every((result) => result.status === 'rejected' && /FOREIGN KEY/.test(String(result.reason))))
  assert.deepEqual(await probes(database), [])
  await insert(database, 'c')
  assert.deepEqual(await probes(database), ['c'])
})

test('subscribers hear of commits that named their topic, and of nothing else', async (t) => {
  const database = await temporaryDatabase(t)
  const heard: string[] = []
  const stop = database.subscribe('jobs', () => heard.push('jobs'))
  t.after(database.subscribe('events:run_1', () => heard.push('events')))
  await database.write(async ({ notify }) => {
    notify('jobs')
    notify('jobs')
    await Promise.resolve()
    assert.deepEqual(heard, [])
  })
  await Promise.resolve()
  assert.deepEqual(heard, ['jobs'])
  const fails = database.write(async ({ notify }) => {
    notify('jobs')
    throw new Error('no')
  })
  await assert.rejects(fails)
  stop()
  await database.write(async ({ notify }) => notify('jobs'))
  database.notify('events:run_1')
  await Promise.resolve()
  assert.deepEqual(heard, ['jobs', 'events'])
})

test('subscribers look again after 5 s though nobody told them', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  const database = await temporaryDatabase(t)
  let heard = 0
  const stop = database.subscribe('jobs', () => heard++)
  t.mock.timers.tick(5000)
  assert.equal(heard, 1)
  stop()
  t.mock.timers.tick(5000)
  assert.equal(heard, 1)
})

test('a folder of a newer version is refused; one of this version opens again as it is', async (t) => {
  const folder = await temporaryFolder(t)
  const first = openSqlite(folder)
  await insert(first, 'a')
  await first.close()
  const second = openSqlite(folder)
  assert.deepEqual(await probes(second), ['a'])
  await second.close()
  const file = new DatabaseSync(join(folder, 'state.db'))
  file.exec('PRAGMA user_version = 1000')
  file.close()
  assert.throws(() => openSqlite(folder), SchemaTooNew)
})

test('commits of state are synchronous', async (t) => {
  const database = await temporaryDatabase(t)
  const { rows } = await database.write(async ({ db }) =>
    db.executeQuery<{ synchronous: number }>({ sql: 'PRAGMA synchronous', parameters: [] } as never),
  )
  assert.equal(rows[0]?.synchronous, 2)
})

test('processes that make and use one folder at once lose no update', async (t) => {
  const folder = join(await temporaryFolder(t), 'data')
  mkdirSync(folder)
  const children = [0, 1, 2].map(() => startChild(t, child('counter.ts'), [folder]))
  assert.deepEqual(await Promise.all(children.map((each) => each.ended())), [0, 0, 0])
  const database = openSqlite(folder)
  t.after(() => database.close())
  assert.deepEqual(await probes(database), ['300'])
})

test('killed in the middle of group commits: what was acknowledged is there, the rest whole or not at all', async (t) => {
  const folder = await temporaryFolder(t)
  for (const round of ['a', 'b', 'c']) {
    const writers = startChild(t, child('writers.ts'), [folder, round])
    await writers.line((line) => line.endsWith('-20'))
    await writers.kill()
    const database = openSqlite(folder)
    const deliveries = await database.state.selectFrom('deliveries').select('id').orderBy('id').execute()
    const pushes = await database.state.selectFrom('pushes').select('commit_id as id').orderBy('commit_id').execute()
    await database.close()
    assert.deepEqual(deliveries, pushes)
    const stored = new Set(deliveries.map(({ id }) => id))
    assert.deepEqual(
      writers.lines.filter((id) => !stored.has(id)),
      [],
    )
    assert.ok(writers.lines.length > 20)
  }
})

test('a data folder has one service; the claim dies with its process', async (t) => {
  const folder = await temporaryFolder(t)
  const holder = startChild(t, child('holder.ts'), [folder])
  await holder.line((line) => line === 'held')
  assert.throws(
    () => claimFolder(folder),
    (error: unknown) => error instanceof FolderTaken && error.message.includes(`process ${holder.process.pid} `),
  )
  await holder.kill()
  const release = claimFolder(folder)
  assert.throws(() => claimFolder(folder), FolderTaken)
  release()
  release()
  claimFolder(folder)()
})
