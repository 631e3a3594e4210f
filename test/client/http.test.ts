import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import * as z from 'zod/mini'
import { Http } from '../../client/http.ts'
import { Service } from '../../client/service.ts'
import { STATIC_TOKEN, startApi } from '../support/api.ts'

const Ok = z.object({ ok: z.boolean() })

/** A server that answers as it is told; the real service has no bad days on demand. */
async function serve(t: TestContext, answer: RequestListener): Promise<URL> {
  const server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/base/`)
}

/** An address where nobody listens. */
async function nobody(): Promise<URL> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return new URL(`http://127.0.0.1:${port}/`)
}

test('a service that nobody can reach is said with its URL and the fix, within the patience', async () => {
  const http = new Http({ url: await nobody(), patience: 700 })
  await assert.rejects(http.call('/x', Ok), {
    name: 'ServiceUnreachable',
    message: /http:\/\/127\.0\.0\.1:\d+ could not be reached: .*ECONNREFUSED/,
    hint: /service-url/,
  })
  const unknown = new Http({ url: new URL('http://no-such-host.invalid/'), patience: 0 })
  await assert.rejects(unknown.call('/x', Ok), { name: 'ServiceUnreachable', hint: /name is not known/ })
})

test("refusals carry the service's own message and hint", async (t) => {
  const api = await startApi(t)
  const service = new Service(new Http({ url: new URL(api.url) }))
  await assert.rejects(service.signIn('wrong wrong wrong', 'octo/garden'), {
    name: 'ServiceRefused',
    status: 401,
    hint: /./,
  })
  await service.signIn(STATIC_TOKEN, 'octo/garden')
  await assert.rejects(service.run('run_none'), { status: 404, message: /run_none/ })
})

test('a stopping service is asked again, but a run is not begun twice', async (t) => {
  let calls = 0
  const url = await serve(t, (request, response) => {
    calls++
    assert.ok(request.url?.startsWith('/base/v1'))
    response.writeHead(calls % 2 === 1 ? 503 : 200).end('{"ok":true}')
  })
  const http = new Http({ url })
  assert.deepEqual(await http.call('/v1/x', Ok), { ok: true })
  assert.equal(calls, 2)
  await assert.rejects(http.call('/v1/runs', Ok, { method: 'POST', body: {} }), { status: 503 })
  assert.equal(calls, 3)
})

test('a connection that breaks while a run is begun is not tried again', async (t) => {
  let calls = 0
  const url = await serve(t, (request) => {
    calls++
    request.socket.destroy()
  })
  const http = new Http({ url, patience: 600 })
  await assert.rejects(http.call('/v1/runs', Ok, { method: 'POST', body: {} }), { name: 'ServiceUnreachable' })
  assert.equal(calls, 1)
  await assert.rejects(http.call('/v1/runs', Ok), { name: 'ServiceUnreachable' })
  assert.ok(calls > 2)
})

test('pages, redirects and silence are not taken for a service', async (t) => {
  const url = await serve(t, (request, response) => {
    if (request.url?.endsWith('redirect')) response.writeHead(302, { location: 'https://login.example.org/' }).end()
    else if (request.url?.endsWith('page')) response.end('<html>Sign in</html>')
    else if (request.url?.endsWith('404')) response.writeHead(404).end('nothing here')
  })
  const http = new Http({ url, patience: 0 })
  await assert.rejects(http.call('/redirect', Ok), { code: 'no-service', message: /redirects to https:\/\/login/ })
  await assert.rejects(http.call('/page', Ok), { code: 'no-service', message: /something else/ })
  await assert.rejects(http.call('/404', Ok), { code: 'no-service', message: /status 404/ })
  await assert.rejects(http.call('/silence', Ok, { timeout: 100 }), { name: 'ServiceUnreachable' })
  const gone = AbortSignal.abort(new Error('not wanted'))
  await assert.rejects(http.call('/silence', Ok, { signal: gone }), /not wanted/)
})
