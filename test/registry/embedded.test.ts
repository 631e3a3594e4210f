import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { gunzipSync } from 'node:zlib'
import Docker from 'dockerode'
import { CREDENTIAL, startApi, type TestApi } from '../support/api.ts'
import { temporaryFolder } from '../support/repositories.ts'
import { ARCHITECTURE, putImage, tarOf } from '../support/small-image.ts'

const run = promisify(execFile)
const creds = `${CREDENTIAL.username}:${CREDENTIAL.password}`
const authorization = `Basic ${Buffer.from(creds).toString('base64')}`
// biome-ignore lint/suspicious/noExplicitAny: tests look into whatever came
const jsonOf = async (answer: Response): Promise<any> => await answer.json()
const get = async (api: TestApi, path: string, headers: Record<string, string> = {}, method = 'GET') =>
  await fetch(`${api.url}/v2/${path}`, { method, headers: { authorization, ...headers } })

test('docker pulls an image by its digest', async (t) => {
  const api = await startApi(t)
  const { digest } = await putImage(api, 'python:test', { 'etc/hello': 'hello' }, ['A=1'])
  const reference = api.registry.reference('library/python', digest)
  const docker = new Docker({ timeout: 60_000 })
  const pull = async (authconfig: object) => {
    const progress = await docker.pull(reference, { authconfig })
    await new Promise((resolve, reject) => {
      docker.modem.followProgress(progress, (error) => (error ? reject(error) : resolve(undefined)))
    })
  }
  await assert.rejects(pull({ username: 'node', password: 'wrong' }), /unauthorized|credential/i)
  await pull(CREDENTIAL)
  t.after(() => docker.getImage(reference).remove())
  const inspected = await docker.getImage(reference).inspect()
  assert.deepEqual(inspected.Config.Env, ['A=1'])
  assert.deepEqual(inspected.RepoDigests, [reference])
  assert.equal(inspected.Architecture, ARCHITECTURE)
})

test('skopeo inspects and copies an image, byte for byte', async (t) => {
  const api = await startApi(t)
  const { digest } = await putImage(api, 'python:test', { 'etc/hello': 'hello' })
  await putImage(api, 'python:other', { 'etc/hello': 'other' })
  const image = `docker://127.0.0.1:${api.port}/library/python:test`
  const { stdout } = await run('skopeo', ['inspect', '--tls-verify=false', '--creds', creds, image])
  const inspected = JSON.parse(stdout)
  assert.deepEqual([inspected.Digest, inspected.RepoTags], [digest, ['other', 'test']])

  const folder = await temporaryFolder(t)
  await run('skopeo', ['copy', '--src-tls-verify=false', '--src-creds', creds, image, `dir:${folder}`])
  const manifest = await readFile(join(folder, 'manifest.json'))
  assert.equal(`sha256:${createHash('sha256').update(manifest).digest('hex')}`, digest)
  const [layer] = JSON.parse(manifest.toString()).layers
  const bytes = await readFile(join(folder, layer.digest.slice(7)))
  assert.deepEqual(gunzipSync(bytes), tarOf({ 'etc/hello': 'hello' }))
})

test('the same tree gives the same digest', async (t) => {
  const [one, two] = [await startApi(t), await startApi(t)]
  const files = { 'etc/hello': 'hello' }
  assert.deepEqual(await putImage(one, 'python:test', files), await putImage(two, 'python:test', files))
})

test('a plain layer is inflated from the stored one, whole, and docker makes the same image of it', async (t) => {
  const api = await startApi(t)
  await putImage(api, 'python:test', { 'etc/hello': 'hello' })
  const manifest = await jsonOf(await get(api, 'library/python/manifests/test'))
  const [layer] = manifest.layers
  const tar = tarOf({ 'etc/hello': 'hello' })
  const plain = {
    mediaType: 'application/vnd.oci.image.layer.v1.tar',
    digest: `sha256:${createHash('sha256').update(tar).digest('hex')}`,
    size: tar.length,
    annotations: { 'dev.meadow-run.inflated-from': layer.digest },
  }
  const bytes = Buffer.from(JSON.stringify({ ...manifest, layers: [plain] }))
  const digest = await api.registry.put('library/python', bytes, manifest.mediaType)
  const answer = await get(api, `library/python/blobs/${plain.digest}`, { range: 'bytes=1-2' })
  assert.deepEqual([answer.status, answer.headers.get('content-length')], [200, String(tar.length)])
  assert.equal(answer.headers.get('accept-ranges'), 'none')
  assert.deepEqual(Buffer.from(await answer.arrayBuffer()), tar)

  const docker = new Docker({ timeout: 60_000 })
  const reference = api.registry.reference('library/python', digest)
  const progress = await docker.pull(reference, { authconfig: CREDENTIAL })
  await new Promise((done, failed) => {
    docker.modem.followProgress(progress, (error) => (error ? failed(error) : done(undefined)))
  })
  t.after(() => docker.getImage(reference).remove())
  assert.equal((await docker.getImage(reference).inspect()).Id, manifest.config.digest)
})

test('the protocol', async (t) => {
  const api = await startApi(t)
  const { digest } = await putImage(api, 'python:test', { 'etc/hello': 'hello'.repeat(1000) })
  const manifest = await jsonOf(await get(api, 'library/python/manifests/test'))
  const layer = manifest.layers[0]
  const whole = Buffer.from(await (await get(api, `library/python/blobs/${layer.digest}`)).arrayBuffer())

  await t.test('version check', async () => {
    const answer = await get(api, '')
    assert.deepEqual([answer.status, answer.headers.get('docker-distribution-api-version')], [200, 'registry/2.0'])
  })
  await t.test('a manifest by tag and digest, its head with length and type', async () => {
    for (const reference of ['test', digest]) {
      const head = await get(api, `library/python/manifests/${reference}`, {}, 'HEAD')
      assert.equal(head.status, 200)
      assert.equal(head.headers.get('docker-content-digest'), digest)
      assert.equal(head.headers.get('content-type'), 'application/vnd.oci.image.manifest.v1+json')
      const body = await (await get(api, `library/python/manifests/${reference}`)).text()
      assert.equal(head.headers.get('content-length'), String(body.length))
    }
  })
  await t.test('a blob, whole and in part', async () => {
    const size = whole.length
    assert.equal(`sha256:${createHash('sha256').update(whole).digest('hex')}`, layer.digest)
    assert.equal(layer.size, size)
    const part = async (range: string) => {
      const answer = await get(api, `library/python/blobs/${layer.digest}`, { range })
      const bytes = Buffer.from(await answer.arrayBuffer())
      return [answer.status, answer.headers.get('content-range'), bytes.equals(expected(range)) || bytes.length]
    }
    const expected = (range: string) => {
      const [, first, last] = /bytes=(\d*)-(\d*)/.exec(range) as unknown as [string, string, string]
      return first === ''
        ? whole.subarray(-Number(last))
        : whole.subarray(Number(first), last ? Number(last) + 1 : size)
    }
    assert.deepEqual(await part('bytes=0-9'), [206, `bytes 0-9/${size}`, true])
    assert.deepEqual(await part('bytes=10-'), [206, `bytes 10-${size - 1}/${size}`, true])
    assert.deepEqual(await part('bytes=-7'), [206, `bytes ${size - 7}-${size - 1}/${size}`, true])
    assert.deepEqual(await part(`bytes=5-${size + 99}`), [206, `bytes 5-${size - 1}/${size}`, true])
    for (const range of [`bytes=${size}-`, 'bytes=-0']) {
      const answer = await get(api, `library/python/blobs/${layer.digest}`, { range })
      assert.deepEqual([answer.status, answer.headers.get('content-range')], [416, `bytes */${size}`])
      await answer.body?.cancel()
    }
    for (const range of ['bytes=9-3', 'bytes=0-1,5-6', 'lines=1-2', 'bytes=-']) {
      const answer = await get(api, `library/python/blobs/${layer.digest}`, { range })
      assert.deepEqual([answer.status, (await answer.arrayBuffer()).byteLength], [200, size], range)
    }
    const head = await get(api, `library/python/blobs/${layer.digest}`, {}, 'HEAD')
    assert.deepEqual([head.status, head.headers.get('content-length')], [200, String(size)])
  })
  await t.test('tags, page by page', async () => {
    for (const tag of ['a', 'b']) await putImage(api, `python:${tag}`, { x: tag })
    assert.deepEqual(await (await get(api, 'library/python/tags/list')).json(), {
      name: 'library/python',
      tags: ['a', 'b', 'test'],
    })
    const page = await get(api, 'library/python/tags/list?n=2')
    assert.deepEqual((await jsonOf(page)).tags, ['a', 'b'])
    assert.equal(page.headers.get('link'), '</v2/library/python/tags/list?n=2&last=b>; rel="next"')
    const last = await get(api, 'library/python/tags/list?n=2&last=b')
    assert.deepEqual([(await jsonOf(last)).tags, last.headers.get('link')], [['test'], null])
  })
  const none = `sha256:${'0'.repeat(64)}`
  const refusals: [string, string, string, number, string][] = [
    ['a tag that is not there', 'GET', 'library/python/manifests/none', 404, 'MANIFEST_UNKNOWN'],
    ['a manifest of another repository', 'GET', `library/rust/manifests/${digest}`, 404, 'MANIFEST_UNKNOWN'],
    ['a blob that is not there', 'GET', `library/python/blobs/${none}`, 404, 'BLOB_UNKNOWN'],
    ['a blob of another repository', 'GET', `library/rust/blobs/${layer.digest}`, 404, 'BLOB_UNKNOWN'],
    ['a blob whose digest is none', 'GET', 'library/python/blobs/sha256:..', 404, 'BLOB_UNKNOWN'],
    ['tags of what is not there', 'GET', 'library/rust/tags/list', 404, 'NAME_UNKNOWN'],
    ['a push', 'POST', 'library/python/blobs/uploads/', 405, 'UNSUPPORTED'],
    ['a name in capitals', 'GET', 'Library/python/manifests/test', 404, 'NAME_INVALID'],
    ['a path that leaves', 'GET', 'library/..%2f..%2fx/manifests/test', 404, 'NAME_INVALID'],
  ]
  for (const [name, method, path, status, code] of refusals) {
    await t.test(name, async () => {
      const answer = await get(api, path, {}, method)
      assert.deepEqual([answer.status, (await jsonOf(answer)).errors[0].code], [status, code])
    })
  }
  await t.test('no credential, or a wrong one', async () => {
    for (const given of ['', 'Basic bm9kZTo=', 'Bearer x']) {
      const answer = await get(api, `library/python/manifests/test`, { authorization: given })
      assert.equal(answer.status, 401)
      assert.equal(answer.headers.get('www-authenticate'), 'Basic realm="meadow"')
      assert.equal((await jsonOf(answer)).errors[0].code, 'UNAUTHORIZED')
    }
  })
  await t.test('a blob stored but in no manifest of the repository', async () => {
    const { digest } = await api.blobs.put(Buffer.from('somebody else'))
    assert.equal((await get(api, `library/python/blobs/${digest}`)).status, 404)
  })
})

test('a manifest whose blobs are not there is not taken', async (t) => {
  const api = await startApi(t)
  const missing = { mediaType: 'x', digest: `sha256:${'0'.repeat(64)}`, size: 1 }
  const manifest = Buffer.from(JSON.stringify({ config: missing, layers: [] }))
  await assert.rejects(api.registry.put('library/x', manifest, 'x', 'latest'), /lists sha256:0+, which is not stored/)
  assert.equal(await api.registry.get('library/x', 'latest'), undefined)
})
