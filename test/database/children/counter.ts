import { sql } from 'kysely'
import { openSqlite } from '../../../service/database/sqlite.ts'

/** Reads a number and writes it plus one, a hundred times. */
const database = openSqlite(process.argv[2] as string)
for (let count = 0; count < 100; count++) {
  await database.write(async ({ db }) => {
    await db
      .insertInto('probes')
      .values({ base: 'sha256:counter', probe: '0' })
      .onConflict((conflict) => conflict.doNothing())
      .execute()
    const { probe } = await db.selectFrom('probes').select('probe').executeTakeFirstOrThrow()
    await sql`select 1`.execute(db)
    await db
      .updateTable('probes')
      .set({ probe: String(Number(probe) + 1) })
      .execute()
  })
}
await database.close()
console.log('done')
