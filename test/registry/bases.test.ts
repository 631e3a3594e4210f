import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createServer, request, type Server } from 'node:http'
import { type AddressInfo, Server as NetServer } from 'node:net'
import { join } from 'node:path'
import { before, type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import { BaseNotFound } from '../../service/registry/base-not-found.ts'
import { Bases } from '../../service/registry/bases.ts'
import { RegistryClient } from '../../service/registry/client.ts'
import { CREDENTIAL, startApi, type TestApi } from '../support/api.ts'
import { startRegistry } from '../support/debian-registry.ts'
import { temporaryFolder } from '../support/repositories.ts'
import { ARCHITECTURE, putImage } from '../support/small-image.ts'

const run = promisify(execFile)
const platform = `linux/${ARCHITECTURE}`
const signal = () => AbortSignal.timeout(30_000)

/** Bases of a service that copies from a registry. */
function basesOf(t: TestContext, api: TestApi, host: string, credential?: typeof CREDENTIAL): Bases {
  const client = new RegistryClient({ url: new URL(`http://${host}`), ...(credential && { credential }) })
  t.after(() => client.close())
  const open = () => assert.fail('no other registry was named')
  return new Bases(api.registry, api.blobs, client, host, open)
}

test('a base is copied once from a registry', async (t) => {
  const folder = await temporaryFolder(t)
  const upstream = await startRegistry(join(folder, 'registry'))
  let running = true
  t.after(() => running && upstream.stop())
  const origin = await startApi(t)
  const { digest } = await putImage(origin, 'python:test', { 'etc/hello': 'hello' }, ['PATH=/bin'])
  await run('skopeo', [
    'copy',
    ...['--src-tls-verify=false', '--dest-tls-verify=false', '--src-creds'],
    `${CREDENTIAL.username}:${CREDENTIAL.password}`,
    `docker://127.0.0.1:${origin.port}/library/python:test`,
    `docker://${upstream.host}/library/python:test`,
  ])
  const api = await startApi(t)
  const bases = basesOf(t, api, upstream.host)
  const base = await bases.resolve('python:test', platform, signal())
  assert.equal(base.digest, digest)
  assert.equal(base.reference, `127.0.0.1:${api.port}/library/python@${digest}`)
  assert.deepEqual(base.defaults, { env: ['PATH=/bin'], user: '', workdir: '' })
  assert.equal(base.layers.length, 1)
  for (const layer of base.layers) assert.equal(await api.blobs.size(layer.digest), layer.size)
  for (const name of [`${upstream.host}/library/python:test`, `python@${digest}`, 'library/python:test']) {
    assert.equal((await bases.resolve(name, platform, signal())).digest, digest, name)
  }
  await assert.rejects(bases.resolve('python:none', platform, signal()), (error: BaseNotFound) => {
    assert.equal(error.message, `base image python:none: neither this service nor ${upstream.host} has it`)
    assert.match(error.hint, /npm run base-image -- python:none/)
    return error instanceof BaseNotFound
  })
  await upstream.stop()
  running = false
  assert.deepEqual(await bases.resolve('python:test', platform, signal()), base)
  await assert.rejects(bases.resolve('python:other', platform, signal()), /does not answer: .*ECONNREFUSED/)
})

test('the platform is chosen from a list, and checked', async (t) => {
  const origin = await startApi(t)
  const { digest } = await putImage(origin, 'python:test', { 'etc/hello': 'hello' })
  const stored = await origin.registry.get('library/python', digest)
  const entry = { mediaType: stored?.mediaType, digest, size: stored?.bytes.length }
  const mediaType = 'application/vnd.oci.image.index.v1+json'
  const index = Buffer.from(
    JSON.stringify({
      mediaType,
      manifests: [
        { ...entry, platform: { os: 'linux', architecture: ARCHITECTURE } },
        { ...entry, platform: { os: 'linux', architecture: 'riscv64' } },
      ],
    }),
  )
  await origin.registry.put('library/python', index, mediaType, 'many')
  const api = await startApi(t)
  const bases = basesOf(t, api, `127.0.0.1:${origin.port}`, CREDENTIAL)
  assert.equal((await bases.resolve('python:many', platform, signal())).digest, digest)
  await assert.rejects(bases.resolve('python:many', 'linux/s390x', signal()), /it is for linux\/\w+, not linux\/s390x/)
  const fresh = basesOf(t, await startApi(t), `127.0.0.1:${origin.port}`, CREDENTIAL)
  await assert.rejects(fresh.resolve('python:many', 'linux/s390x', signal()), /it is not made for linux\/s390x/)
  await assert.rejects(
    fresh.resolve('python:many', 'linux/riscv64', signal()),
    /it is for linux\/\w+, not linux\/riscv64/,
  )
})

test('names that are not ours to ask, or are none, are refused before anybody is asked', async (t) => {
  const bases = basesOf(t, await startApi(t), '127.0.0.1:1')
  for (const name of ['169.254.169.254/library/x', 'evil.example/python:3.11', 'localhost:5000/x']) {
    await assert.rejects(
      bases.resolve(name, platform, signal()),
      /^BaseNameInvalid: .* bases come from 127\.0\.0\.1:1$/,
    )
  }
  for (const name of ['python:', 'Python', 'python:a b', 'x/../y', 'python@sha256:1', 'a//b', 'python:x:y']) {
    await assert.rejects(bases.resolve(name, platform, signal()), /is no image name$/, name)
  }
})

test('a registry that misbehaves', async (t) => {
  let origin: TestApi
  let digest: string
  before(async () => {
    origin = await startApi(t)
    digest = (await putImage(origin, 'python:test', { 'etc/hello': 'hello'.repeat(100) })).digest
  })
  /** A registry in front of the origin that may do something else with a request. */
  const front = async (
    t: TestContext,
    instead: (path: string, headers: NodeJS.Dict<string | string[]>) => Interception | undefined,
  ) => {
    const server = createServer((incoming, outgoing) => {
      const own = instead(incoming.url ?? '', incoming.headers)
      if (own !== undefined) return void outgoing.writeHead(own.status, own.headers).end(own.body)
      const authorization = `Basic ${Buffer.from(`${CREDENTIAL.username}:${CREDENTIAL.password}`).toString('base64')}`
      const headers = { ...incoming.headers, authorization, host: 'localhost' }
      request(`${origin.url}${incoming.url}`, { headers, agent: false }, (answer) => {
        outgoing.writeHead(answer.statusCode ?? 0, answer.headers)
        answer.pipe(outgoing)
      }).end()
    })
    return await listening(t, server)
  }
  const api = async (t: TestContext) => await startApi(t)

  await t.test('a token is got where a challenge asks for it, and kept', async (t) => {
    let tokens = 0
    let host = ''
    host = await front(t, (path, headers) => {
      if (path.startsWith('/token')) {
        tokens++
        assert.equal(path, '/token?service=garden&scope=repository%3Alibrary%2Fpython%3Apull')
        return { status: 200, body: '{"token":"t0"}' }
      }
      if (headers.authorization === 'Bearer t0') return undefined
      const challenge = `Bearer realm="http://${host}/token",service="garden"`
      return { status: 401, headers: { 'www-authenticate': challenge } }
    })
    const base = await basesOf(t, await api(t), host).resolve('python:test', platform, signal())
    assert.deepEqual([base.digest, tokens], [digest, 1])
  })
  await t.test('blobs are got where it redirects to, without its credential', async (t) => {
    const seen: unknown[] = []
    const store = await front(t, (_path, headers) => {
      seen.push(headers.authorization)
      return undefined
    })
    const host = await front(t, (path, headers) => {
      if (headers.authorization === undefined)
        return { status: 401, headers: { 'www-authenticate': 'Basic realm="x"' } }
      return path.includes('/blobs/') ? { status: 307, headers: { location: `http://${store}${path}` } } : undefined
    })
    const base = await basesOf(t, await api(t), host, CREDENTIAL).resolve('python:test', platform, signal())
    assert.equal(base.digest, digest)
    assert.deepEqual(seen, [undefined, undefined])
  })
  const faults: [string, (path: string) => Interception | undefined, RegExp][] = [
    [
      'it gives another blob',
      (path) => blob(path, { status: 200, body: 'other' }),
      /its config can't be copied: .*sha256/,
    ],
    [
      'it gives a blob without an end',
      (path) => blob(path, { status: 200, body: 'x'.repeat(100_000) }),
      /can't be copied/,
    ],
    ['it has lost a blob', (path) => blob(path, { status: 404 }), /can't be copied: .* answers 404/],
    ['it fails', () => ({ status: 500 }), /answers 500 for library\/python:test/],
    ['it refuses', () => ({ status: 401 }), /refuses to show library\/python without a credential/],
    ['it sends us round', (path) => ({ status: 302, headers: { location: path } }), /redirects more than 5 times/],
    [
      'it sends us to a file',
      () => ({ status: 302, headers: { location: 'file:///etc/passwd' } }),
      /redirects to file:/,
    ],
    ['its manifest is too large', () => ({ status: 200, body: 'x'.repeat(5_000_000) }), /has more than 4194304 bytes/],
    ['its manifest is of an old kind', () => ({ status: 200, body: '{}' }), /its manifest is of the type/],
    ['its manifest is no JSON', () => manifest('{'), /its manifest can't be read: /],
    ['its manifest names no layers', () => manifest('{"config":5}'), /its manifest can't be read: /],
  ]
  for (const [name, instead, message] of faults) {
    await t.test(name, async (t) => {
      const host = await front(t, instead)
      const service = await api(t)
      await assert.rejects(basesOf(t, service, host).resolve('python:test', platform, signal()), (error: Error) => {
        assert.match(error.message, message)
        assert.ok(error instanceof BaseNotFound)
        assert.equal(error.retryable, name === 'it fails')
        return true
      })
      assert.equal(await service.registry.get('library/python', 'test'), undefined)
    })
  }
  await t.test('who stops waiting is let go', async (t) => {
    const silent = new NetServer((socket) => t.after(() => socket.destroy()))
    const host = await listening(t, silent)
    const stop = new AbortController()
    const waiting = basesOf(t, await api(t), host).resolve('python:test', platform, stop.signal)
    stop.abort(new Error('enough'))
    await assert.rejects(waiting, /^Error: enough$/)
  })
})

interface Interception {
  status: number
  headers?: Record<string, string>
  body?: string
}

function blob(path: string, instead: Interception): Interception | undefined {
  return path.includes('/blobs/') ? instead : undefined
}

function manifest(body: string): Interception {
  return { status: 200, headers: { 'content-type': 'application/vnd.oci.image.manifest.v1+json' }, body }
}

async function listening(t: TestContext, server: Server | NetServer): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => new Promise((resolve) => server.close(resolve)))
  t.after(() => 'closeAllConnections' in server && server.closeAllConnections())
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}
