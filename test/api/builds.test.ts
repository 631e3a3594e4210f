import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BuildOrder } from '../../common/canonical-request.ts'
import { Build } from '../../common/contract.ts'
import { failBuild, finishBuild, saveEnvironment } from '../../service/database/builds.ts'
import { recordPush } from '../../service/database/deliveries.ts'
import { saveImage } from '../../service/database/known.ts'
import { startApi, type TestApi } from '../support/api.ts'

const commit = 'a'.repeat(40)
const request = { repository: 'octo/garden', commit, interpreter: 'requirements.txt' }

async function pushed(api: TestApi): Promise<string> {
  const { id } = await api.database.state.selectFrom('repositories').selectAll().executeTakeFirstOrThrow()
  await api.database.write(({ db }) =>
    recordPush(db, { repository: id, commit_id: commit, ref: 'refs/heads/main', received: 1 }),
  )
  return id
}

test('a build is ordered once, whoever asks while it is under way', async (t) => {
  const api = await startApi(t)
  const token = await api.token()
  const repository = await pushed(api)
  const answers = await Promise.all([1, 2].map(() => api.call('POST', '/v1/builds', { token, body: request })))
  assert.deepEqual(
    answers.map(({ status }) => status),
    [201, 201],
  )
  assert.equal(answers[0]?.body.id, answers[1]?.body.id)
  const id = answers[0]?.body.id
  const job = await api.database.state.selectFrom('jobs').selectAll().executeTakeFirstOrThrow()
  assert.deepEqual([job.kind, JSON.parse(job.payload)], ['build', { build: id }])
  const row = await api.database.state.selectFrom('builds').selectAll().executeTakeFirstOrThrow()
  assert.equal(row.domain, repository)
  assert.deepEqual(BuildOrder.parse(JSON.parse(row.request)), {
    repository,
    name: 'octo/garden',
    code: { deployment: 'git_repo', repository: 'octo/garden', commit },
    interpreter: { interpreter: 'requirements.txt' },
  })
  assert.equal(Build.parse((await api.call('GET', `/v1/builds/${id}`, { token })).body).state, 'queued')
  const other = await api.call('POST', '/v1/builds', { token, body: { ...request, 'python-version': '3.9' } })
  assert.notEqual(other.body.id, id)
})

test('a commit that no push named is built in a domain of its own', async (t) => {
  const api = await startApi(t)
  const token = await api.token()
  const { id } = await api.database.state.selectFrom('repositories').selectAll().executeTakeFirstOrThrow()
  await api.call('POST', '/v1/builds', { token, body: request })
  await api.call('POST', '/v1/builds', { token, body: { ...request, 'pull-request': 5 } })
  const rows = await api.database.state.selectFrom('builds').select('domain').orderBy('id').execute()
  assert.deepEqual(
    rows.map(({ domain }) => domain),
    [`${id}/commit/${commit}`, `${id}/pull/5`],
  )
})

test('a finished build is given again, with its account and lock; a failed one is tried again', async (t) => {
  const api = await startApi(t)
  const token = await api.token()
  const domain = await pushed(api)
  const order = async () => (await api.call('POST', '/v1/builds', { token, body: request })).body.id as string
  const failed = await order()
  const lockOf = async (id: string) => await api.call('GET', `/v1/builds/${id}/lock`, { token })
  assert.equal((await lockOf(failed)).status, 409)
  const environment = { domain, commit_id: commit, request: '{"interpreter":"requirements.txt"}' }
  await api.database.write(async ({ db }) => {
    await saveEnvironment(db, { ...environment, build: failed })
    await failBuild(db, { id: failed, message: 'requirements.txt:3: no such version', hint: 'choose', now: 1 })
  })
  const shown = Build.parse((await api.call('GET', `/v1/builds/${failed}`, { token })).body)
  assert.deepEqual(
    [shown.state, shown.message, shown.hint],
    ['failed', 'requirements.txt:3: no such version', 'choose'],
  )
  assert.equal((await lockOf(failed)).status, 409)

  const good = await order()
  assert.notEqual(good, failed)
  const image = `sha256:${'1'.repeat(64)}` as const
  const lock = await api.blobs.put(Buffer.from(JSON.stringify({ text: 'lock-version = "1.0"\n' })))
  await api.database.write(async ({ db }) => {
    await saveEnvironment(db, { ...environment, build: good })
    await finishBuild(db, { id: good, image, cache: '{"verdict":"miss"}', now: 1 })
    await saveImage(db, {
      domain,
      key: 'k',
      digest: image,
      plain: image,
      layout: image,
      lock: lock.digest,
      lineage: 'l',
      kin: 'k',
      used: 0,
      branch: 'main',
      user: '0:0',
      created: 1,
    })
  })
  assert.equal(await order(), good)
  const text = await lockOf(good)
  assert.deepEqual([text.status, text.text], [200, 'lock-version = "1.0"\n'])
  assert.deepEqual((await api.call('GET', `/v1/builds/${good}`, { token })).body.cache, { verdict: 'miss' })
})

test('a repository sees its own builds only', async (t) => {
  const api = await startApi(t)
  const token = await api.token()
  const { id } = (await api.call('POST', '/v1/builds', { token, body: request })).body
  const stranger = await api.token('octo/park')
  for (const path of ['', '/events', '/lock']) {
    assert.equal((await api.call('GET', `/v1/builds/${id}${path}`, { token: stranger })).status, 404)
  }
  const foreign = await api.call('POST', '/v1/builds', { token: stranger, body: request })
  assert.equal(foreign.status, 403)
})
