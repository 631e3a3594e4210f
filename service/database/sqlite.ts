import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Kysely } from 'kysely'
import type { Database } from './database.ts'
import { GroupCommit } from './group-commit.ts'
import { EVENTS_MIGRATIONS, migrate, STATE_MIGRATIONS } from './migrations.ts'
import type { EventsDatabase, StateDatabase } from './schema.ts'
import { isBusy, SqliteConnection, sqliteDialect } from './sqlite-driver.ts'
import { Topics } from './topics.ts'

/** How long one process waits for another's transaction. */
const BUSY_MS = 10_000

/** Pages of the log before they are copied into the file (16 MB): of what changes often, each page is copied once. */
const CHECKPOINT_PAGES = 4000

/**
 * Opens the embedded databases of a data folder, making them where they are missing: `state.db`, whose commits are
 * synchronous, and `events.db`, which may lose its last moments in a power cut. Two processes may have one folder open.
 * @throws {SchemaTooNew} where a newer version has been at work
 */
export function openSqlite(folder: string): Database {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const writer = openFile(join(folder, 'state.db'), 'FULL', STATE_MIGRATIONS)
  const reader = openFile(join(folder, 'state.db'), 'FULL', STATE_MIGRATIONS)
  // Readers see committed units only; a write that is no unit fails.
  reader.exec('PRAGMA query_only = ON')
  const eventsFile = openFile(join(folder, 'events.db'), 'NORMAL', EVENTS_MIGRATIONS)
  const topics = new Topics()
  const commits = new GroupCommit(writer, (topic) => topics.notify(topic))
  return {
    state: new Kysely<StateDatabase>({ dialect: sqliteDialect(new SqliteConnection(reader)) }),
    events: new Kysely<EventsDatabase>({ dialect: sqliteDialect(new SqliteConnection(eventsFile)) }),
    write: (unit) => commits.write(unit),
    notify: (topic) => topics.notify(topic),
    subscribe: (topic, heard) => topics.subscribe(topic, heard),
    close: async () => {
      await commits.close()
      for (const file of [reader, writer, eventsFile]) if (file.isOpen) file.close()
    },
  }
}

function openFile(path: string, synchronous: 'FULL' | 'NORMAL', migrations: readonly string[]): DatabaseSync {
  const db = new DatabaseSync(path, { timeout: BUSY_MS, enableForeignKeyConstraints: true })
  try {
    enterWal(db)
    db.exec(`PRAGMA synchronous = ${synchronous}; PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`)
    migrate(db, path, migrations)
    return db
  } catch (error) {
    db.close()
    throw error
  }
}

/** The change to WAL does not wait for other processes by itself where two make it at once. */
function enterWal(db: DatabaseSync): void {
  const until = Date.now() + BUSY_MS
  for (;;) {
    try {
      db.exec('PRAGMA journal_mode = WAL')
      return
    } catch (error) {
      if (!isBusy(error) || Date.now() > until) throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20)
    }
  }
}
