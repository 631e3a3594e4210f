import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { request } from 'node:http'
import { connect } from 'node:net'
import { before, test } from 'node:test'
import { PrebuildOrder } from '../../service/github/deliveries.ts'
import { signed, startApi, type TestApi } from '../support/api.ts'

const push = (changes: object = {}) => ({
  ref: 'refs/heads/main',
  before: '0'.repeat(40),
  after: 'a'.repeat(40),
  deleted: false,
  repository: { id: 7, full_name: 'octo/garden', default_branch: 'main' },
  ...changes,
})

async function deliver(api: TestApi, payload: unknown, { event = 'push', id = randomUUID() as string } = {}) {
  const body = JSON.stringify(payload)
  return await api.call('POST', '/webhooks/github', { body, headers: signed(body, event, id) })
}

const rows = async (api: TestApi) => ({
  deliveries: await api.database.state.selectFrom('deliveries').selectAll().orderBy('received').execute(),
  pushes: await api.database.state.selectFrom('pushes').selectAll().execute(),
  jobs: await api.database.state.selectFrom('jobs').selectAll().orderBy('id').execute(),
})

test('a signed push is kept with its job before it is acknowledged', async (t) => {
  const api = await startApi(t)
  const answer = await deliver(api, push(), { id: 'one' })
  assert.equal(answer.status, 202)
  assert.deepEqual(answer.body, { delivery: 'one', did: 'prebuild' })
  const { deliveries, pushes, jobs } = await rows(api)
  assert.equal(deliveries[0]?.did, 'prebuild')
  assert.equal(pushes[0]?.commit_id, 'a'.repeat(40))
  const order = PrebuildOrder.parse(JSON.parse(jobs[0]?.payload ?? ''))
  assert.equal(order.repository, pushes[0]?.repository)
  assert.deepEqual(
    { ...order, repository: '' },
    {
      repository: '',
      name: 'octo/garden',
      ref: 'refs/heads/main',
      commit: 'a'.repeat(40),
      before: '0'.repeat(40),
      branch: 'main',
      defaultBranch: 'main',
    },
  )
  assert.deepEqual(api.log, ['delivery one push: prebuild'])
})

test('the worker is told of a job', async (t) => {
  const api = await startApi(t)
  const heard = new Promise<void>((resolve) => t.after(api.database.subscribe('jobs', resolve)))
  await deliver(api, push())
  await heard
})

test('a delivery that comes again, or again under another id, does nothing twice', async (t) => {
  const api = await startApi(t)
  await deliver(api, push(), { id: 'one' })
  const again = await deliver(api, push(), { id: 'one' })
  const replayed = await deliver(api, push(), { id: 'two' })
  assert.deepEqual(
    [again.status, again.body.did, replayed.status, replayed.body.did],
    [202, 'duplicate', 202, 'duplicate'],
  )
  const { deliveries, jobs } = await rows(api)
  assert.deepEqual([deliveries.length, jobs.length], [1, 1])
})

test('two identical pushes at once make one job', async (t) => {
  const api = await startApi(t)
  const answers = await Promise.all([deliver(api, push(), { id: 'one' }), deliver(api, push(), { id: 'two' })])
  assert.deepEqual(answers.map((answer) => answer.body.did).sort(), ['duplicate', 'prebuild'])
  assert.equal((await rows(api)).jobs.length, 1)
})

test('a newer push of a branch takes the place of one still queued, another branch does not', async (t) => {
  const api = await startApi(t)
  await deliver(api, push())
  await deliver(api, push({ ref: 'refs/heads/other', after: 'b'.repeat(40) }))
  await deliver(api, push({ after: 'c'.repeat(40) }))
  const { jobs } = await rows(api)
  assert.deepEqual(
    jobs.map(({ state }) => state),
    ['superseded', 'queued', 'queued'],
  )
})

test('ping, tags, deleted branches and other events are kept with a reason and cause nothing', async (t) => {
  const api = await startApi(t)
  const did = [
    await deliver(api, { zen: 'Keep it simple.' }, { event: 'ping' }),
    await deliver(api, push({ ref: 'refs/tags/v1' })),
    await deliver(api, push({ deleted: true, after: '0'.repeat(40) })),
    await deliver(api, { action: 'opened' }, { event: 'issues' }),
  ].map((answer) => [answer.status, answer.body.did])
  assert.deepEqual(did, [
    [202, 'ping'],
    [202, 'ignored: refs/tags/v1 is no branch'],
    [202, 'ignored: refs/heads/main was deleted'],
    [202, 'ignored: event issues'],
  ])
  const { deliveries, jobs, pushes } = await rows(api)
  assert.deepEqual([deliveries.length, jobs.length, pushes.length, api.log.length], [4, 0, 0, 4])
})

test('a form with the field payload is taken as well', async (t) => {
  const api = await startApi(t)
  const body = `payload=${encodeURIComponent(JSON.stringify(push()))}`
  const headers = { ...signed(body, 'push', 'one'), 'content-type': 'application/x-www-form-urlencoded' }
  const answer = await api.call('POST', '/webhooks/github', { body, headers })
  assert.deepEqual([answer.status, answer.body.did], [202, 'prebuild'])
})

test('every spelling of the address is served, and only under our names', async (t) => {
  const api = await startApi(t)
  for (const path of ['/webhooks/github', '/webhooks/github?from=hooks', '/webhooks/github/', '/Webhooks/GitHub']) {
    const body = JSON.stringify(push({ path }))
    const answer = await api.call('POST', path, { body, headers: signed(body, 'push', randomUUID()) })
    assert.deepEqual([answer.status, answer.body.did], [202, 'prebuild'], path)
    assert.equal(answer.headers['content-type'], 'application/json; charset=utf-8')
    const stranger = await api.call('POST', path, {
      body,
      headers: { ...signed(body, 'push', 'x'), host: 'evil.test' },
    })
    assert.equal(stranger.status, 421, path)
  }
})

test('a sender that goes away in the middle of its body leaves nothing, not even a line in the log', async (t) => {
  const api = await startApi(t)
  const socket = connect(api.port, '127.0.0.1')
  const head = ['POST /webhooks/github HTTP/1.1', 'host: localhost', 'content-length: 100', 'expect: 100-continue']
  socket.write(`${head.join('\r\n')}\r\n\r\n`)
  // It waits for the body now.
  assert.match(String((await once(socket, 'data'))[0]), /^HTTP\/1\.1 100 /)
  socket.destroy()
  await api.close()
  assert.deepEqual(api.log, [])
})

test('a renamed repository is the same one', async (t) => {
  const api = await startApi(t)
  await deliver(api, push())
  await deliver(
    api,
    push({ after: 'b'.repeat(40), repository: { id: 7, full_name: 'octo/park', default_branch: 'main' } }),
  )
  const { pushes } = await rows(api)
  assert.equal(new Set(pushes.map(({ repository }) => repository)).size, 1)
})

test('refusals', async (t) => {
  let api: TestApi
  before(async () => {
    api = await startApi(t)
  })
  const body = JSON.stringify(push())
  const right = signed(body, 'push', 'one')
  const { 'x-hub-signature-256': _signature, ...unsigned } = right
  const { 'x-github-delivery': _delivery, ...nameless } = right
  const bad: [string, number, string, { body: string | Uint8Array; headers: object }][] = [
    ['no signature', 401, 'x-hub-signature-256: is missing', { body, headers: unsigned }],
    [
      'the signature of another secret',
      401,
      'x-hub-signature-256: does not fit the body',
      { body, headers: signed(body, 'push', 'one', 'another secret') },
    ],
    [
      'the signature of another body',
      401,
      'x-hub-signature-256: does not fit the body',
      { body: `${body} `, headers: right },
    ],
    ['no body', 401, 'x-hub-signature-256: does not fit the body', { body: '', headers: right }],
    [
      'a sha1 signature',
      401,
      'x-hub-signature-256: does not fit the body',
      { body, headers: { ...right, 'x-hub-signature-256': 'sha1=00' } },
    ],
    ['no delivery id', 400, 'x-github-delivery: is missing or malformed', { body, headers: nameless }],
    [
      'an event that would forge a log line',
      400,
      'x-github-event: is missing or malformed',
      { body, headers: { ...right, 'x-github-event': 'push: prebuild' } },
    ],
    [
      'malformed JSON, signed',
      400,
      "body: Expected ',' or '}' after property value in JSON at position 7 (line 1 column 8)",
      { body: '{"a":1 "b":2}', headers: signed('{"a":1 "b":2}', 'push', 'one') },
    ],
    ['a packed body', 415, 'body: ', { body, headers: { ...right, 'content-encoding': 'gzip' } }],
    [
      'a push without its commit, signed',
      400,
      'before: ',
      { body: '{"ref":"refs/heads/x"}', headers: signed('{"ref":"refs/heads/x"}', 'push', 'one') },
    ],
  ]
  for (const [name, status, message, sent] of bad) {
    await t.test(name, async () => {
      const answer = await api.call('POST', '/webhooks/github', sent as never)
      assert.equal(answer.status, status)
      assert.ok(answer.body.error.message.includes(message), answer.body.error.message)
      assert.ok(answer.body.error.hint.length > 0)
      assert.deepEqual(await rows(api), { deliveries: [], pushes: [], jobs: [] })
      // Nothing of what was sent is in the log, and it does not grow with every stranger's request.
      const size = Buffer.byteLength(body)
      const said = `a delivery from 127.0.0.1 was refused: its signature is missing (${size} bytes)`
      assert.deepEqual(api.log, [said])
    })
  }
  await t.test('bytes that are no UTF-8 do not fit the signature of the text that they decode to', async () => {
    const text = JSON.stringify(push({ note: '\ufffd' }))
    const headers = signed(text, 'push', 'one')
    assert.equal((await api.call('POST', '/webhooks/github', { body: text, headers })).body.did, 'prebuild')
    const bytes = Buffer.from(text)
    const at = bytes.indexOf(Buffer.from('\ufffd'))
    const twin = Buffer.concat([bytes.subarray(0, at), Buffer.from([0xff]), bytes.subarray(at + 3)])
    const answer = await api.call('POST', '/webhooks/github', {
      body: twin,
      headers: { ...headers, 'x-github-delivery': 'two' },
    })
    assert.equal(answer.status, 401)
  })
})

test('more than 25 MB are refused, announced or not, and nothing is kept', async (t) => {
  const api = await startApi(t)
  const body = Buffer.alloc(25 * 1024 * 1024 + 1, ' ')
  const headers = signed(body, 'push', 'one')
  const announced = await api.call('POST', '/webhooks/github', { body, headers })
  assert.deepEqual([announced.status, announced.body.error.code], [413, 'too-large'])
  const chunked = await new Promise<number | undefined>((resolve, reject) => {
    const outgoing = request(`${api.url}/webhooks/github`, { method: 'POST', headers, agent: false })
    outgoing.on('response', (answer) => resolve(answer.resume().statusCode)).on('error', reject)
    outgoing.write(body)
    outgoing.end()
  })
  assert.equal(chunked, 413)
  assert.deepEqual(await rows(api), { deliveries: [], pushes: [], jobs: [] })
})

test('exactly 25 MB are taken', async (t) => {
  const api = await startApi(t)
  const filled = JSON.stringify(push({ filler: '' }))
  const body = JSON.stringify(push({ filler: 'x'.repeat(25 * 1024 * 1024 - filled.length) }))
  const answer = await api.call('POST', '/webhooks/github', { body, headers: signed(body, 'push', 'one') })
  assert.equal(answer.status, 202)
})
