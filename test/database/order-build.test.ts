import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type BuildOrder, canonicalRequest } from '../../common/canonical-request.ts'
import { finishBuild, saveEnvironment } from '../../service/database/builds.ts'
import type { Database } from '../../service/database/database.ts'
import { orderBuild } from '../../service/database/order-build.ts'
import { temporaryDatabase } from '../support/database.ts'

const COMMIT = 'a'.repeat(40)
const ORDER: BuildOrder = {
  repository: 'rep',
  name: 'octo/garden',
  code: { deployment: 'git_repo', repository: 'octo/garden', commit: COMMIT },
  interpreter: { interpreter: 'auto' },
}

async function finish({ write }: Database, id: string): Promise<void> {
  await write(async ({ db }) => {
    await finishBuild(db, { id, image: `sha256:${'b'.repeat(64)}`, cache: '{}', now: 2 })
    const request = canonicalRequest(ORDER.interpreter, ORDER.code)
    await saveEnvironment(db, { domain: 'rep', commit_id: COMMIT, request, build: id })
  })
}

test('one build, whoever asks: made, joined while it is under way, known once it has finished', async (t) => {
  const database = await temporaryDatabase(t)
  const { build, how } = await orderBuild(database, 'rep', ORDER)
  assert.equal(how, 'made')
  assert.deepEqual(await orderBuild(database, 'rep', ORDER), { build, how: 'joined' })
  await finish(database, build.id)
  const known = await orderBuild(database, 'rep', ORDER)
  assert.deepEqual([known.build.id, known.how], [build.id, 'known'])
})

test('a build that finishes while somebody asks is not made a second time', async (t) => {
  const database = await temporaryDatabase(t)
  const { build } = await orderBuild(database, 'rep', ORDER)
  const slow: Database = {
    ...database,
    // The asker has looked for it and did not find it yet.
    write: async (unit) => {
      await finish(database, build.id)
      return await database.write(unit)
    },
  }
  const asked = await orderBuild(slow, 'rep', ORDER)
  assert.deepEqual([asked.build.id, asked.how], [build.id, 'known'])
})
