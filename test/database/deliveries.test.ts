import assert from 'node:assert/strict'
import { test } from 'node:test'
import { recordDelivery, recordPush, wasPushed } from '../../service/database/deliveries.ts'
import { temporaryDatabase } from '../support/database.ts'

const DAY = 24 * 60 * 60 * 1000

test('a delivery is new once: by its id for ever, by its body for three days', async (t) => {
  const { write } = await temporaryDatabase(t)
  const record = (id: string, body: string, received: number) =>
    write(({ db }) => recordDelivery(db, { id, body_sha256: body, event: 'push', did: 'prebuild', received }))
  assert.equal(await record('a', 'x', 0), 'new')
  assert.equal(await record('a', 'x', 1), 'duplicate')
  assert.equal(await record('a', 'y', 10 * DAY), 'duplicate')
  assert.equal(await record('b', 'x', 3 * DAY - 1), 'duplicate')
  // A replay does not make the three days longer.
  assert.equal(await record('c', 'x', 3 * DAY), 'new')
})

test('a commit was pushed where a push of that repository named it', async (t) => {
  const { write, state } = await temporaryDatabase(t)
  const push = { repository: 'rep_1', commit_id: 'c', ref: 'refs/heads/main', received: 1 }
  await write(({ db }) => recordPush(db, push))
  await write(({ db }) => recordPush(db, { ...push, received: 2 }))
  assert.equal(await wasPushed(state, 'rep_1', 'c'), true)
  assert.equal(await wasPushed(state, 'rep_2', 'c'), false)
  assert.equal(await wasPushed(state, 'rep_1', 'd'), false)
})
