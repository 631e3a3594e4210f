import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { test } from 'node:test'
import type { BaseNotFound } from '../../service/registry/base-not-found.ts'
import { Bases } from '../../service/registry/bases.ts'
import { RegistryClient } from '../../service/registry/client.ts'
import { CREDENTIAL, startApi } from '../support/api.ts'
import { ARCHITECTURE, putImage } from '../support/small-image.ts'

const platform = `linux/${ARCHITECTURE}`
const signal = () => AbortSignal.timeout(30_000)

/** Bases of one service, with another service as any registry that users name. */
async function twoServices(t: Parameters<typeof startApi>[0]) {
  const [origin, api] = [await startApi(t), await startApi(t)]
  let url = origin.url
  const open = () => {
    const client = new RegistryClient({ url: new URL(url), credential: CREDENTIAL })
    t.after(() => client.close())
    return client
  }
  const bases = () => new Bases(api.registry, api.blobs, open(), 'bases.example.org', open)
  const away = () => {
    url = 'http://127.0.0.1:1'
  }
  return { origin, api, bases, away }
}

test('a tag is asked for each time; where its registry does not answer, it is what it was', async (t) => {
  const { origin, bases, away } = await twoServices(t)
  const name = 'docker://registry.example.org/library/app:1'
  const notes: string[] = []
  const resolve = async (of: Bases) => (await of.resolve(name, platform, signal(), (note) => notes.push(note))).digest
  const old = await putImage(origin, 'app:1', { 'etc/hello': 'old' })
  assert.equal(await resolve(bases()), old.digest)
  const now = await putImage(origin, 'app:1', { 'etc/hello': 'new' })
  assert.equal(await resolve(bases()), now.digest)
  assert.deepEqual(notes, [])
  away()
  assert.equal(await resolve(bases()), now.digest)
  assert.match(notes.join(), /does not answer.*the image that it gave before is taken: sha256:/)
  const other = 'docker://registry.example.org/library/other:1'
  await assert.rejects(bases().resolve(other, platform, signal()), /container image docker:.*does not answer/)
})

test("a manifest from anywhere does not get somebody else's bytes by their digest", async (t) => {
  const { origin, api } = await twoServices(t)
  const { digest: secret } = await api.blobs.put(Buffer.from('the code of another repository'))
  const { digest } = await putImage(origin, 'app:1', { 'etc/hello': 'hello' })
  const stored = await origin.registry.get('library/app', digest)
  const manifest = JSON.parse(String(stored?.bytes))
  manifest.layers[0] = { ...manifest.layers[0], digest: secret, size: 30 }
  const bytes = Buffer.from(JSON.stringify(manifest))
  const config = await buffer(await origin.blobs.open(manifest.config.digest))
  const server = createServer((request, answer) => {
    const isManifest = request.url?.includes('/manifests/')
    if (request.url?.endsWith(manifest.config.digest)) return void answer.end(config)
    if (!isManifest) return void answer.writeHead(404).end()
    answer.writeHead(200, { 'content-type': manifest.mediaType }).end(bytes)
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  t.after(() => server.close())
  const hostile = new RegistryClient({ url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`) })
  t.after(() => hostile.close())
  const tricked = new Bases(api.registry, api.blobs, hostile, 'bases.example.org', () => hostile)
  await assert.rejects(tricked.resolve('docker://evil.example.org/app:1', platform, signal()), (error: BaseNotFound) =>
    /its layers can't be copied: .*answers 404/.test(error.message),
  )
})

test('an image for another machine is refused before its layers are fetched', async (t) => {
  const { origin, api, bases } = await twoServices(t)
  const other = ARCHITECTURE === 'arm64' ? 'amd64' : 'arm64'
  await putImage(origin, 'app:1', { 'etc/hello': 'hello' }, [], other)
  const asked = t.mock.method(RegistryClient.prototype, 'blob').mock
  const name = 'docker://registry.example.org/library/app:1'
  await assert.rejects(bases().resolve(name, platform, signal()), (error: BaseNotFound) => {
    assert.equal(error.message, `container image ${name}: it is for linux/${other}, not ${platform}`)
    return true
  })
  assert.equal(asked.callCount(), 1, 'its config')
  assert.deepEqual(await api.database.state.selectFrom('manifests').selectAll().execute(), [])
})

test('registries that users name are at public addresses', async (t) => {
  const api = await startApi(t)
  const open = (host: string) => new RegistryClient({ url: new URL(`http://${host}`), guarded: true })
  const bases = new Bases(api.registry, api.blobs, open('bases.example.org'), 'bases.example.org', open)
  for (const host of ['127.0.0.1:5000', 'localhost', '169.254.169.254', '10.0.0.1:80']) {
    await assert.rejects(bases.resolve(`docker://${host}/app:1`, platform, signal()), /is a private address/, host)
  }
})
