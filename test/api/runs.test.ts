import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { canonicalRequest } from '../../common/canonical-request.ts'
import { Run, RunCreated, RunRequest } from '../../common/contract.ts'
import { failBuild, finishBuild, openBuild, saveEnvironment } from '../../service/database/builds.ts'
import { finishRun, updateRun } from '../../service/database/runs.ts'
import { startApi, type TestApi } from '../support/api.ts'

const commit = 'a'.repeat(40)
const code = { repository: 'octo/garden', commit }
const image = `sha256:${'1'.repeat(64)}` as const

test('a run is stored with its job, and told', async (t) => {
  const api = await startApi(t)
  const token = await api.token()
  const heard = new Promise<void>((resolve) => t.after(api.database.subscribe('jobs', resolve)))
  const answer = await api.call('POST', '/v1/runs', { token, body: { ...code, command: 'pytest -q' } })
  assert.equal(answer.status, 201)
  const { id, cache } = RunCreated.parse(answer.body)
  assert.equal(cache, undefined)
  await heard
  const job = await api.database.state.selectFrom('jobs').selectAll().executeTakeFirstOrThrow()
  assert.deepEqual([job.kind, job.key, JSON.parse(job.payload)], ['run', id, { run: id }])
  const row = await api.database.state.selectFrom('runs').selectAll().executeTakeFirstOrThrow()
  assert.equal(row.domain, row.repository)
  assert.equal(RunRequest.parse(JSON.parse(row.request)).interpreter, 'auto')
  const shown = Run.parse((await api.call('GET', `/v1/runs/${id}`, { token })).body)
  assert.deepEqual([shown.state, shown.commit, shown.outcome], ['queued', commit, undefined])
  assert.equal(shown.repository, row.repository)
})

test('the answer says what is known of the image', async (t) => {
  const api = await startApi(t)
  const token = await api.token()
  const { id: domain } = await api.database.state.selectFrom('repositories').selectAll().executeTakeFirstOrThrow()
  const request = canonicalRequest({ interpreter: 'auto' })
  const now = Date.now()
  const { build } = await api.database.write(({ db }) => openBuild(db, { domain, key: 'k', request: '{}', now }))
  await api.database.write(({ db }) => saveEnvironment(db, { domain, commit_id: commit, request, build: build.id }))
  const cache = async (changes: object = {}) =>
    (await api.call('POST', '/v1/runs', { token, body: { ...code, command: 'x', ...changes } })).body.cache
  assert.equal(await cache(), 'joined')
  await api.database.write(({ db }) => finishBuild(db, { id: build.id, image, cache: '{}', now }))
  assert.equal(await cache(), 'hit')
  assert.equal(await cache({ commit: 'b'.repeat(40) }), undefined)
  assert.equal(await cache({ 'python-version': '3.9' }), undefined)
  const second = await api.database.write(({ db }) => openBuild(db, { domain, key: 'k', request: '{}', now }))
  await api.database.write(({ db }) =>
    saveEnvironment(db, { domain, commit_id: commit, request, build: second.build.id }),
  )
  await api.database.write(({ db }) => failBuild(db, { id: second.build.id, message: 'm', hint: 'h', now }))
  assert.equal(await cache(), undefined)
})

test('what is wrong with a request is said by the names of its inputs', async (t) => {
  let api: TestApi
  let token: string
  before(async () => {
    api = await startApi(t)
    token = await api.token()
  })
  const digest = `sha256:${'0'.repeat(64)}`
  const run = { ...code, command: 'x' }
  const mirror = { roots: [digest], 'sys-path': [{ root: 0 }] }
  const mirrored = { repository: code.repository, deployment: 'mirror_local', command: 'x', mirror }
  const bundle = { digest, 'commit-object': '', gitlinks: [] }
  const bad: [object, number, RegExp][] = [
    [{}, 400, /^repository: is missing$/],
    [{ repository: code.repository, command: 'x' }, 400, /^commit: is missing$/],
    [code, 400, /^command: one of command, args and function is needed$/],
    [{ ...run, args: ['x'] }, 400, /^args: cannot be given together with command$/],
    [{ ...run, function: 'a:b', args: ['x'] }, 400, /^args, function: cannot be given/],
    [{ ...run, 'function-args': [] }, 400, /^function-args: has a meaning only with function$/],
    [{ ...code, function: 'a.b' }, 400, /^function: must be package\.module:function$/],
    [{ ...code, function: 'a:b', 'function-args': 'x' }, 400, /^function-args: has none of the types/],
    [{ ...code, comand: 'x' }, 400, /^comand: is not known$/],
    [{ ...run, commit: 'main' }, 400, /^commit: must be 40 lower-case hex digits$/],
    [{ ...run, repository: 'garden' }, 400, /^repository: must be owner\/name$/],
    [{ ...run, repository: 'octo/park' }, 403, /^repository: this token is for octo\/garden, not for octo\/park$/],
    [{ ...run, timeout: '5' }, 400, /^timeout: expected /],
    [{ ...run, cpus: -1 }, 400, /^cpus: /],
    [{ ...run, network: 'all' }, 400, /^network: expected one of "none"\|"internet"\|"open"$/],
    [{ ...run, env: { '9': 'x' } }, 400, /^env\.9: /],
    [{ ...run, env: { A: 1 } }, 400, /^env\.A: expected string/],
    [{ ...run, 'working-directory': '../x' }, 400, /^working-directory: must be a path inside the repository$/],
    [{ ...run, 'path-to-source': '/etc' }, 400, /^path-to-source: /],
    [{ ...run, 'python-version': '3' }, 400, /^python-version: must look like 3\.11$/],
    [{ ...run, deployment: 'rsync' }, 400, /^deployment: must be git_repo or mirror_local$/],
    [{ ...run, deployment: 'mirror_local' }, 400, /^mirror: is missing$/],
    [{ ...run, mirror }, 400, /^mirror: has no meaning with git_repo$/],
    [{ ...run, deployment: 'mirror_local', mirror }, 400, /^commit: has no meaning with mirror_local$/],
    [{ ...mirrored, mirror: { ...mirror, roots: [] } }, 400, /^mirror\.roots: /],
    [
      { ...mirrored, mirror: { ...mirror, 'sys-path': [{ root: 1 }] } },
      400,
      /^mirror\.sys-path\.0\.root: there is no root 1$/,
    ],
    [
      { ...mirrored, mirror: { ...mirror, 'sys-path': [{ root: 0, path: '../up' }] } },
      400,
      /^mirror\.sys-path\.0\.path: must be a path inside the repository$/,
    ],
    [{ ...mirrored, mirror }, 400, /^mirror\.roots\.0: sha256:0{64} was not uploaded for octo\/garden$/],
    [
      { ...run, 'environment-files': { 'x.txt': digest } },
      400,
      /^environment-files\.x\.txt: sha256:0+ was not uploaded/,
    ],
    [{ ...run, bundle }, 400, /^bundle\.digest: sha256:0+ was not uploaded for octo\/garden$/],
  ]
  for (const [body, status, message] of bad) {
    await t.test(JSON.stringify(body).slice(0, 150), async () => {
      const answer = await api.call('POST', '/v1/runs', { token, body })
      assert.match(answer.body.error.message, message)
      assert.equal(answer.status, status)
      assert.deepEqual(await api.database.state.selectFrom('runs').selectAll().execute(), [])
      assert.deepEqual(await api.database.state.selectFrom('jobs').selectAll().execute(), [])
    })
  }
})

test('a repository sees its own runs only, and is not told of others', async (t) => {
  const api = await startApi(t)
  const [token, stranger] = [await api.token(), await api.token('octo/park')]
  const { id } = (await api.call('POST', '/v1/runs', { token, body: { ...code, command: 'x' } })).body
  for (const [method, path] of [
    ['GET', ''],
    ['GET', '/result'],
    ['GET', '/events'],
    ['POST', '/cancel'],
  ] as const) {
    const of = async (id: string) => {
      const answer = await api.call(method, `/v1/runs/${id}${path}`, { token: stranger })
      return [answer.status, answer.text.replaceAll(id, '')]
    }
    assert.deepEqual(await of(id), await of('run_none'))
    assert.equal((await of(id))[0], 404)
  }
  assert.deepEqual((await api.call('GET', '/v1/runs', { token: stranger })).body, { runs: [] })
})

test('runs are listed newest first, page by page', async (t) => {
  const api = await startApi(t)
  const token = await api.token()
  const ids: string[] = []
  for (let i = 0; i < 5; i++) {
    ids.unshift((await api.call('POST', '/v1/runs', { token, body: { ...code, command: 'x' } })).body.id)
  }
  const page = async (query: string) =>
    (await api.call('GET', `/v1/runs${query}`, { token })).body.runs.map((run: Run) => run.id)
  assert.deepEqual(await page(''), ids)
  assert.deepEqual(await page('?limit=2'), ids.slice(0, 2))
  assert.deepEqual(await page(`?limit=2&before=${ids[1]}`), ids.slice(2, 4))
  for (const query of ['?limit=0', '?limit=x', '?before=x', '?offset=2']) {
    assert.equal((await api.call('GET', `/v1/runs${query}`, { token })).status, 400, query)
  }
})

test('a finished run shows how it ended, and what its function returned', async (t) => {
  const api = await startApi(t)
  const token = await api.token()
  const { id } = (await api.call('POST', '/v1/runs', { token, body: { ...code, function: 'a:b' } })).body
  const result = async () => await api.call('GET', `/v1/runs/${id}/result`, { token })
  assert.deepEqual([(await result()).status, (await result()).body.error.code], [409, 'not-finished'])
  const started = Date.now()
  const build = await api.database.write(async ({ db }) => {
    const { build } = await openBuild(db, { domain: 'rep_x', key: 'k', request: '{}', now: started })
    await updateRun(db, id, { cache: 'partial', image, build: build.id, started, ms_to_start: 12 })
    await finishRun(db, id, { outcome: 'ok', exitCode: 0, result: '{"a":[1,null]}', now: started + 5 })
    return build.id
  })
  const shown = Run.parse((await api.call('GET', `/v1/runs/${id}`, { token })).body)
  assert.deepEqual(
    [shown.state, shown.outcome, shown['exit-code'], shown.cache, shown['seconds-to-start'], shown.build, shown.image],
    ['finished', 'ok', 0, 'partial', 0.012, build, image],
  )
  assert.deepEqual((await result()).body, { value: { a: [1, null] } })
  const other = (await api.call('POST', '/v1/runs', { token, body: { ...code, command: 'x' } })).body.id
  await api.database.write(({ db }) => finishRun(db, other, { outcome: 'lost', message: 'm', hint: 'h', now: 1 }))
  const none = await api.call('GET', `/v1/runs/${other}/result`, { token })
  assert.deepEqual([none.status, none.body.error.code], [404, 'no-result'])
})

test('cancel asks once and tells whoever runs it', async (t) => {
  const api = await startApi(t)
  const token = await api.token()
  const { id } = (await api.call('POST', '/v1/runs', { token, body: { ...code, command: 'x' } })).body
  const heard = new Promise<void>((resolve) => t.after(api.database.subscribe(`cancel:${id}`, resolve)))
  assert.equal((await api.call('POST', `/v1/runs/${id}/cancel`, { token })).status, 202)
  await heard
  assert.equal((await api.database.state.selectFrom('runs').select('cancel').executeTakeFirstOrThrow()).cancel, 1)
  await api.database.write(({ db }) => finishRun(db, id, { outcome: 'cancelled', now: 1 }))
  const late = await api.call('POST', `/v1/runs/${id}/cancel`, { token })
  assert.deepEqual([late.status, late.body.outcome], [200, 'cancelled'])
})
