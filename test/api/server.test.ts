import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { before, test } from 'node:test'
import { follow, STATIC_TOKEN, startApi, type TestApi } from '../support/api.ts'

test('refusals have one shape and show no stack', async (t) => {
  let api: TestApi
  let token: string
  before(async () => {
    api = await startApi(t)
    token = await api.token()
  })
  const cases: [string, string, string, object, number, RegExp][] = [
    ['an unknown path', 'GET', '/nothing', {}, 404, /^\/nothing is not served/],
    ['an unknown path below a known one', 'GET', '/v1/runs/x/y', { auth: true }, 404, /./],
    ['a wrong method', 'DELETE', '/v1/runs', { auth: true }, 405, /^\/v1\/runs\/? does not take DELETE$/],
    ['a wrong method of the webhook', 'GET', '/webhooks/github', {}, 405, /does not take GET/],
    ['no token', 'GET', '/v1/runs', {}, 401, /^authorization: /],
    ['a token nobody gave', 'GET', '/v1/runs', { headers: { authorization: 'Bearer x' } }, 401, /^authorization: /],
    [
      'a static token in the place of another',
      'GET',
      '/v1/runs',
      { headers: { authorization: `Bearer ${STATIC_TOKEN}` } },
      401,
      /^auth/,
    ],
    [
      'malformed JSON',
      'POST',
      '/v1/runs',
      { auth: true, body: '{"command": nope}' },
      400,
      /^body: .* at position 13 \(line 1 column 14\)$/,
    ],
    [
      'truncated JSON',
      'POST',
      '/v1/runs',
      { auth: true, body: '{\n"command":' },
      400,
      /^body: .* position 12 \(line 2 column 11\)$/,
    ],
    ['JSON that is no object', 'POST', '/v1/runs', { auth: true, body: '[]' }, 400, /^body: must be a JSON object$/],
    [
      'a body of another type',
      'POST',
      '/v1/runs',
      { auth: true, body: '{}', headers: { 'content-type': 'text/plain' } },
      400,
      /^body: must be/,
    ],
    [
      'a body in another coding',
      'POST',
      '/v1/runs',
      { auth: true, body: '{}', headers: { 'content-encoding': 'x' } },
      415,
      /^body: /,
    ],
    [
      'a body that is too large',
      'POST',
      '/v1/tokens',
      { body: ' '.repeat(65 * 1024) },
      413,
      /^body: more than 65536 bytes$/,
    ],
    ['a % that is no escape', 'GET', '/v1/runs/%zz', { auth: true }, 400, /%/],
  ]
  for (const [name, method, path, sent, status, message] of cases) {
    await t.test(name, async () => {
      const { auth, ...options } = sent as { auth?: boolean }
      const answer = await api.call(method, path, { ...options, ...(auth && { token }) })
      assert.equal(answer.status, status)
      assert.deepEqual(Object.keys(answer.body), ['error'])
      assert.deepEqual(Object.keys(answer.body.error), ['code', 'message', 'hint'])
      assert.match(answer.body.error.message, message)
      assert.ok(!/node_modules|\.ts\b|\n/.test(answer.text), answer.text)
      assert.equal(answer.headers['x-powered-by'], undefined)
    })
  }
  await t.test('what we did not foresee is logged and says nothing', async () => {
    const failing = await startApi(t)
    await failing.database.write(async ({ db }) => {
      await db.schema.dropTable('runs').execute()
    })
    const answer = await failing.call('GET', '/v1/runs', { token: await failing.token() })
    assert.equal(answer.status, 500)
    assert.equal(answer.body.error.message, 'the service failed')
    assert.match(failing.log[0] ?? '', /^GET \/v1\/runs: .*no such table: runs/s)
  })
})

test('only our own host names are served', async (t) => {
  const api = await startApi(t, { publicUrl: new URL('https://meadow.example.org/') })
  const status = async (host: string) => (await api.call('GET', '/healthz', { headers: { host } })).status
  for (const host of ['localhost', 'LOCALHOST:99', '127.0.0.1:1', '[::1]:8470', 'meadow.example.org']) {
    assert.equal(await status(host), 200, host)
  }
  for (const host of [
    'evil.example',
    'meadow.example.org.evil.example',
    '169.254.169.254',
    'localhost:80:80',
    '127.0.0.1@evil.example',
  ]) {
    assert.equal(await status(host), 421, host)
  }
  const answer = await api.call('GET', '/healthz', { headers: { host: 'evil.example' } })
  assert.match(answer.body.error.message, /^host: evil\.example /)
  assert.match(answer.body.error.hint, /MEADOW_PUBLIC_URL/)
})

test('the listener for the internet serves webhooks and /v1 only', async (t) => {
  const { promise, resolve } = Promise.withResolvers<number>()
  const probe = await import('node:net').then(({ createServer }) => createServer().listen(0, '127.0.0.1'))
  await once(probe, 'listening')
  resolve((probe.address() as { port: number }).port)
  const port = await promise
  probe.close()
  await startApi(t, { listenPublic: { host: '127.0.0.1', port } })
  const status = async (path: string) => (await fetch(`http://127.0.0.1:${port}${path}`)).status
  assert.deepEqual(
    await Promise.all(['/v1/runs', '/webhooks/github', '/v2/', '/readyz'].map(status)),
    [401, 405, 404, 404],
  )
})

test('readiness asks the engine', async (t) => {
  let engine: 'up' | 'away' = 'up'
  const api = await startApi(t, {
    ready: async () => {
      if (engine === 'away') throw new Error('the engine does not answer')
    },
  })
  assert.equal((await api.call('GET', '/readyz')).status, 200)
  engine = 'away'
  const answer = await api.call('GET', '/readyz')
  assert.deepEqual([answer.status, answer.body.error.message], [503, 'the engine does not answer'])
  assert.equal((await api.call('GET', '/healthz')).status, 200)
})

test('closing ends streams with a line, lets answers finish and refuses what comes after', async (t) => {
  const api = await startApi(t)
  const token = await api.token()
  const commit = 'a'.repeat(40)
  const { id } = (
    await api.call('POST', '/v1/runs', { token, body: { repository: 'octo/garden', commit, command: 'x' } })
  ).body
  await api.tell(id, { kind: 'note', text: 'one' })
  const lines = follow(api, `/v1/runs/${id}/events`, token)
  assert.ok('event' in ((await lines.next()).value as object))
  const idle = connect(api.port, '127.0.0.1')
  await once(idle, 'connect')
  const closed = api.close()
  const last = (await lines.next()).value
  assert.equal(last && 'error' in last && last.error.code, 'closing')
  assert.equal((await lines.next()).done, true)
  idle.destroy()
  await closed
  await assert.rejects(api.call('GET', '/healthz'), /ECONNREFUSED/)
})

test('what is no HTTP is answered as bad', async (t) => {
  const api = await startApi(t)
  const socket = connect(api.port, '127.0.0.1')
  socket.end('nonsense\r\n\r\n')
  assert.match(await text(socket), /^HTTP\/1\.1 400 /)
})
