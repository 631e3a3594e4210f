import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { request } from 'node:http'
import { test } from 'node:test'
import { saveBundle } from '../../service/database/code.ts'
import { commitDomain, pullRequestDomain } from '../../service/policy/domain.ts'
import { startApi, type TestApi } from '../support/api.ts'

const commit = 'a'.repeat(40)
const code = { repository: 'octo/garden', commit }
const bytes = Buffer.from('numpy==2.1.0\n')
const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}` as const

const put = async (api: TestApi, token: string, body: Uint8Array, name: string = digest) =>
  await api.call('PUT', `/v1/blobs/${name}`, { token, body, headers: { 'content-type': 'application/octet-stream' } })
const grants = async (api: TestApi) => await api.database.state.selectFrom('grants').selectAll().execute()

test('what is missing is asked for, uploaded, and not asked for again', async (t) => {
  const api = await startApi(t)
  const token = await api.token()
  const missing = async () =>
    (await api.call('POST', '/v1/bundles/missing', { token, body: { ...code, blobs: [digest, digest] } })).body
  const asked = await missing()
  assert.deepEqual([asked.bundle, asked.blobs], [true, [digest]])
  assert.match(asked.reason, /^the code of a{40} /)
  const uploaded = await put(api, token, bytes)
  assert.deepEqual([uploaded.status, uploaded.body], [201, { digest, size: bytes.length }])
  const { id } = await api.database.state.selectFrom('repositories').selectAll().executeTakeFirstOrThrow()
  await api.database.write(({ db }) => saveBundle(db, { domain: id, commit_id: commit, digest, size: 1, created: 1 }))
  assert.deepEqual(await missing(), { bundle: false, blobs: [] })
})

test('a bundle is known where it is known for the commit itself or its pull request, not for another', async (t) => {
  const api = await startApi(t)
  const token = await api.token()
  const { id } = await api.database.state.selectFrom('repositories').selectAll().executeTakeFirstOrThrow()
  const save = async (domain: string, commit_id: string) =>
    await api.database.write(({ db }) => saveBundle(db, { domain, commit_id, digest, size: 1, created: 1 }))
  const missing = async (changes: object) =>
    (await api.call('POST', '/v1/bundles/missing', { token, body: { ...code, ...changes } })).body.bundle
  await save(pullRequestDomain(id, 5), commit)
  assert.deepEqual(
    [await missing({}), await missing({ 'pull-request': 6 }), await missing({ 'pull-request': 5 })],
    [true, true, false],
  )
  const other = 'b'.repeat(40)
  await save(commitDomain(id, other), other)
  assert.equal(await missing({ commit: other }), false)
})

test('a blob that another repository uploaded is missing until one uploads it oneself', async (t) => {
  const api = await startApi(t)
  const [token, stranger] = [await api.token(), await api.token('octo/park')]
  await put(api, token, bytes)
  const body = { repository: 'octo/park', commit, blobs: [digest] }
  const missing = async () => (await api.call('POST', '/v1/bundles/missing', { token: stranger, body })).body.blobs
  assert.deepEqual(await missing(), [digest])
  const wrong = await put(api, stranger, Buffer.from('guessed'))
  assert.equal(wrong.status, 400)
  assert.deepEqual(await missing(), [digest])
  await put(api, stranger, bytes)
  assert.deepEqual(await missing(), [])
})

test('refused uploads leave nothing', async (t) => {
  const api = await startApi(t, { maxUploadBytes: 1000 })
  const token = await api.token()
  const other = await put(api, token, Buffer.from('other bytes'))
  assert.deepEqual([other.status, other.body.error.code], [400, 'blob-refused'])
  assert.equal((await put(api, token, bytes, 'sha256:xyz')).status, 400)
  assert.equal((await put(api, token, bytes, 'md5:00')).status, 400)
  const large = Buffer.alloc(1001)
  const name = `sha256:${createHash('sha256').update(large).digest('hex')}` as const
  assert.equal((await put(api, token, large, name)).status, 413)
  assert.equal(await chunked(api, token, large, name), 413)
  assert.deepEqual(await grants(api), [])
  assert.deepEqual([await api.blobs.size(digest), await api.blobs.size(name)], [undefined, undefined])
})

test('an upload that breaks off leaves nothing, and can be sent again', async (t) => {
  const api = await startApi(t)
  const token = await api.token()
  const outgoing = request(`${api.url}/v1/blobs/${digest}`, {
    method: 'PUT',
    agent: false,
    headers: { authorization: `Bearer ${token}`, 'content-length': bytes.length },
  })
  const failed = once(outgoing, 'error').catch(() => {})
  outgoing.write(bytes.subarray(0, 4))
  await new Promise((resolve) => outgoing.once('socket', (socket) => socket.once('connect', resolve)))
  outgoing.destroy()
  await failed
  assert.deepEqual([await grants(api), await api.blobs.size(digest)], [[], undefined])
  assert.equal((await put(api, token, bytes)).status, 201)
  assert.deepEqual(api.log, [])
})

test('a large upload is streamed', async (t) => {
  const api = await startApi(t, { maxUploadBytes: 100_000_000 })
  const token = await api.token()
  const large = Buffer.alloc(50_000_000, 'meadow')
  const name = `sha256:${createHash('sha256').update(large).digest('hex')}` as const
  assert.equal(await chunked(api, token, large, name), 201)
  assert.equal(await api.blobs.size(name), large.length)
})

async function chunked(api: TestApi, token: string, body: Uint8Array, name: string): Promise<number | undefined> {
  const options = { method: 'PUT', agent: false, headers: { authorization: `Bearer ${token}` } }
  return await new Promise((resolve, reject) => {
    const outgoing = request(`${api.url}/v1/blobs/${name}`, options)
    outgoing.on('response', (answer) => resolve(answer.resume().statusCode)).on('error', reject)
    outgoing.write(body)
    outgoing.end()
  })
}
