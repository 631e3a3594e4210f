import { writeSync } from 'node:fs'
import { recordDelivery, recordPush } from '../../../service/database/deliveries.ts'
import { openSqlite } from '../../../service/database/sqlite.ts'

/** Writes units of two rows from many places at once for ever, and says which ones were acknowledged. */
const [folder = '', name = ''] = process.argv.slice(2)
const database = openSqlite(folder)
await Promise.all(Array.from({ length: 16 }, (_, writer) => write(writer)))

async function write(writer: number): Promise<void> {
  for (let count = 0; ; count++) {
    const id = `${name}-${writer}-${count}`
    await database.write(async ({ db }) => {
      await recordDelivery(db, { id, body_sha256: id, event: 'push', did: 'prebuild', received: 0 })
      await recordPush(db, { repository: 'rep', commit_id: id, ref: 'refs/heads/main', received: 0 })
    })
    // Synchronous: what is said here was acknowledged, and what was acknowledged is said or not yet.
    writeSync(1, `${id}\n`)
  }
}
