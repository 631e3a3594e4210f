import type { TestContext } from 'node:test'
import type { Database } from '../../service/database/database.ts'
import { openSqlite } from '../../service/database/sqlite.ts'
import { temporaryFolder } from './repositories.ts'

/** A database in a folder of its own; both are gone after the test. */
export async function temporaryDatabase(t: Pick<TestContext, 'after'>): Promise<Database & { folder: string }> {
  // The folder is removed last: hooks run in the order in which they were made.
  let database: Database | undefined
  t.after(() => database?.close())
  const folder = await temporaryFolder(t)
  database = openSqlite(folder)
  return Object.assign(database, { folder })
}
