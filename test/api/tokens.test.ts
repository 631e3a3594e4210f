import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { StaticToken } from '../../service/api/caller.ts'
import { startApi } from '../support/api.ts'

const garden: StaticToken = {
  name: 'garden',
  secret: 'g',
  repositories: ['octo/garden', 'plants/*'],
  permissions: ['run'],
}
const reader: StaticToken = { name: 'reader', secret: 'r', repositories: ['*'], permissions: [] }

test('a static token is exchanged for one of a repository and workflow run', async (t) => {
  const api = await startApi(t, { tokens: [garden, reader] })
  const body = { token: 'g', repository: 'octo/garden', 'workflow-run': '77' }
  const answer = await api.call('POST', '/v1/tokens', { body })
  assert.equal(answer.status, 201)
  assert.equal(answer.headers['cache-control'], 'no-store')
  const hours = (Date.parse(answer.body.expires) - Date.now()) / 3_600_000
  assert.ok(hours > 23.9 && hours <= 24)
  const [row] = await api.database.state.selectFrom('tokens').selectAll().execute()
  assert.deepEqual([row?.name, row?.workflow_run], ['garden', '77'])
  assert.ok(!JSON.stringify(row).includes(answer.body.token.slice(7)))
  assert.equal((await api.call('GET', '/v1/runs', { token: answer.body.token })).status, 200)
})

test('patterns say for which repositories', async (t) => {
  const api = await startApi(t, { tokens: [garden] })
  const status = async (repository: string, token = 'g') =>
    (await api.call('POST', '/v1/tokens', { body: { token, repository } })).status
  assert.equal(await status('Octo/Garden'), 201)
  assert.equal(await status('plants/rose'), 201)
  assert.equal(await status('octo/park'), 403)
  assert.equal(await status('plantsman/rose'), 403)
  assert.equal(await status('octo/garden', 'wrong'), 401)
  assert.equal(await status('octo/garden', ''), 400)
  assert.deepEqual((await api.database.state.selectFrom('repositories').selectAll().execute()).length, 2)
})

test('a token ends: after its time, and with the static token that it came from', async (t) => {
  const tokens = [garden]
  const api = await startApi(t, { tokens })
  const { token } = (await api.call('POST', '/v1/tokens', { body: { token: 'g', repository: 'octo/garden' } })).body
  const status = async () => (await api.call('GET', '/v1/runs', { token })).status
  assert.equal(await status(), 200)
  tokens.length = 0
  assert.equal(await status(), 401)
  tokens.push({ ...garden, repositories: ['octo/park'] })
  assert.equal(await status(), 401)
  tokens[0] = garden
  assert.equal(await status(), 200)
  await api.database.write(async ({ db }) => {
    await db
      .updateTable('tokens')
      .set({ expires: Date.now() - 1 })
      .execute()
  })
  assert.equal(await status(), 401)
})

test('without the permission to run, a token only reads', async (t) => {
  const api = await startApi(t, { tokens: [reader] })
  const { token } = (await api.call('POST', '/v1/tokens', { body: { token: 'r', repository: 'octo/garden' } })).body
  assert.equal((await api.call('GET', '/v1/runs', { token })).status, 200)
  const calls = [
    ['POST', '/v1/runs'],
    ['POST', '/v1/builds'],
    ['POST', '/v1/bundles/missing'],
    ['PUT', `/v1/blobs/sha256:${'0'.repeat(64)}`],
    ['POST', '/v1/runs/run_x/cancel'],
  ] as const
  for (const [method, path] of calls) {
    const answer = await api.call(method, path, { token, body: {} })
    assert.deepEqual([answer.status, answer.body.error.code], [403, 'not-permitted'], path)
  }
})
