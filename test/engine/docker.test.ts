import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import { after, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import Docker from 'dockerode'
import { readTar } from '../../common/read-tar.ts'
import { dockerEngine } from '../../service/engine/docker.ts'
import { chooseApiVersion } from '../../service/engine/docker-connection.ts'
import { engineError } from '../../service/engine/docker-errors.ts'
import {
  ContainerMissing,
  type ContainerSpec,
  DiskFull,
  EngineRefused,
  EngineUnavailable,
  PullFailed,
} from '../../service/engine/engine.ts'
import { codeTar, testEngine } from '../support/standbys.ts'

const made = testEngine('docker')
const { engine } = made
after(made.clean)

/** Runs a command to its end: what it printed and how it ended. */
async function run(command: string[], changes: Partial<ContainerSpec> = {}, stdin = '') {
  const container = await engine.create(await made.spec(command, changes))
  const { stdin: input, stdout, stderr } = await container.attach()
  const said = Promise.all([text(stdout), text(stderr)])
  await container.start()
  input.end(stdin)
  const exit = await container.wait()
  const [out, err] = await said
  await container.remove()
  return { ...exit, out, err }
}

describe('containers of Docker', { concurrency: 2 }, () => {
  test('stdin, stdout, stderr and the exit code', async () => {
    const said = await run(['sh', '-c', 'cat; echo oops >&2; exit 3'], {}, 'hello')
    assert.deepEqual(said, { exitCode: 3, oom: false, out: 'hello', err: 'oops\n' })
  })

  test('limits, user, folder, variables', async () => {
    const show =
      'id -u; pwd; echo $ONE; ulimit -u >/dev/null; cat /proc/1/status | grep -E "NoNewPrivs|CapBnd"; df -k /dev/shm | tail -1'
    const { out } = await run(['sh', '-c', show], { user: '1234:1', workdir: '/srv', env: { ONE: '1' } })
    const [uid, folder, one, bounding, privileges, shm] = out.trim().split('\n')
    assert.deepEqual([uid, folder, one], ['1234', '/srv', '1'])
    assert.deepEqual([bounding, privileges], ['CapBnd:\t0000000000000000', 'NoNewPrivs:\t1'])
    assert.equal(shm?.split(/\s+/)[1], String(128 * 1024))
  })

  test('out of memory is said', async () => {
    const hog = 'b = []\nwhile True: b.append(bytes(1 << 20))'
    const { exitCode, oom } = await run(['python3', '-c', hog], { memory: 64 << 20 })
    assert.deepEqual([exitCode, oom], [137, true])
  })

  test('files go in before it runs and come out after, and count as disk', async () => {
    const container = await engine.create(
      await made.spec(['sh', '-c', 'cat /srv/in/a > /srv/out; head -c 3000000 /dev/zero > /srv/big']),
    )
    await container.put(codeTar({ 'in/a': 'from outside' }), '/srv')
    await container.start()
    await container.wait()
    const contents: [string, string][] = []
    for await (const { entry, content } of readTar(await container.get('/srv/out'))) {
      contents.push([entry.path, (await buffer(Readable.from(content))).toString()])
    }
    assert.deepEqual(contents, [['out', 'from outside']])
    const used = await container.diskUsed()
    assert.ok(used >= 3_000_000 && used < 4_000_000, `${used} bytes`)
    await assert.rejects(container.get('/no/such/file'), EngineRefused)
    await assert.rejects(container.put(codeTar({ a: '' }), '/no/such/folder'), EngineRefused)
    await container.remove()
  })

  test('a source that fails in the middle of a copy is the error of the copy', async () => {
    const container = await engine.create(await made.spec(['true']))
    const broken = Readable.from(
      (async function* () {
        yield Buffer.alloc(512)
        throw new Error('the blob is gone')
      })(),
    )
    await assert.rejects(container.put(broken, '/srv'), /the blob is gone/)
    await container.remove()
  })

  test('a container that is gone: removing and killing it are no errors, the rest is ContainerMissing', async () => {
    const container = await engine.create(await made.spec(['sleep', '1000']))
    await container.kill('SIGTERM')
    await container.start()
    await container.remove()
    await container.remove()
    await container.kill('SIGKILL')
    const gone = engine.container(container.id)
    for (const call of [() => gone.wait(), () => gone.start(), () => gone.attach(), () => gone.diskUsed()]) {
      await assert.rejects(call, ContainerMissing)
    }
  })

  test('found by all of its labels, running or not', async () => {
    const labels = { 'run.meadow.node': `test-docker-${process.pid}`, color: `green-${process.pid}` }
    const container = await engine.create(await made.spec(['true'], { labels }))
    assert.deepEqual(await engine.find(labels), [{ id: container.id, labels, running: false }])
    assert.deepEqual(await engine.find({ ...labels, color: 'red' }), [])
    await container.remove()
  })

  test('an image that is not there', async () => {
    const image = 'meadow-test/none:latest'
    assert.equal(await engine.hasImage(image), false)
    await engine.removeImage(image)
    await assert.rejects(engine.create({ ...(await made.spec(['true'])), image }), EngineRefused)
  })
})

test('an image goes when no container uses it any more', async () => {
  const own = dockerEngine({ networkPrefix: 'mdwimage', removeAgain: 20 })
  const spec = await made.spec(['true'])
  const image = `meadow-test/in-use:${process.pid}`
  const first = await own.create(spec)
  await new Docker().getContainer(first.id).commit({ repo: 'meadow-test/in-use', tag: String(process.pid) })
  const user = await own.create({ ...spec, image })
  await own.removeImage(image)
  assert.equal(await own.hasImage(image), true)
  await user.remove()
  while (await own.hasImage(image)) await sleep(20)
  await first.remove()
  await own.close()
})

describe('pulls of Docker', () => {
  test('from where nobody listens', async () => {
    await assert.rejects(engine.pull('127.0.0.1:1/none/none:latest', {}), (error) => {
      return error instanceof PullFailed && /connection refused/.test(error.message)
    })
  })

  test('from a registry that refuses says what it said, and sends the credential there', async () => {
    const seen: (string | undefined)[] = []
    const server = createServer((request, response) => {
      seen.push(request.headers.authorization)
      const challenge = { 'www-authenticate': 'Basic realm="test"', 'docker-distribution-api-version': 'registry/2.0' }
      if (request.headers.authorization === undefined) response.writeHead(401, challenge).end()
      else if (request.url === '/v2/') response.writeHead(200).end('{}')
      else
        response
          .writeHead(404)
          .end(JSON.stringify({ errors: [{ code: 'MANIFEST_UNKNOWN', message: 'no such manifest' }] }))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
    try {
      const image = `${host}/some/image@sha256:${'0'.repeat(64)}`
      await assert.rejects(engine.pull(image, { credential: { username: 'u', password: 'p' } }), PullFailed)
      assert.ok(seen.includes(`Basic ${Buffer.from('u:p').toString('base64')}`), seen.join())
    } finally {
      server.closeAllConnections()
      server.close()
    }
  })

  test('is given up when the caller says so', async () => {
    const server = createServer(() => {})
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
    try {
      const signal = AbortSignal.timeout(200)
      await assert.rejects(engine.pull(`${host}/some/image:latest`, { signal }), { name: 'TimeoutError' })
    } finally {
      server.closeAllConnections()
      server.close()
    }
  })
})

test('errors of Docker have types', () => {
  const where = 'unix:///x'
  const typed = (error: object) => engineError(Object.assign(new Error('said'), error), 'do it', where)
  assert.ok(typed({ code: 'ECONNREFUSED' }) instanceof EngineUnavailable)
  assert.ok(typed({ code: 'ENOENT' }) instanceof EngineUnavailable)
  assert.ok(typed({ statusCode: 503 }) instanceof EngineUnavailable)
  assert.match(typed({ code: 'EACCES' }).message, /group that owns the socket/)
  assert.ok(typed({ statusCode: 500, json: { message: 'write /x: no space left on device' } }) instanceof DiskFull)
  assert.ok(typed({ statusCode: 404, json: { message: 'No such container: x' } }) instanceof ContainerMissing)
  assert.ok(typed({ statusCode: 409, json: { message: 'conflict' } }) instanceof EngineRefused)
})

test('the API version is one that both sides know', () => {
  assert.equal(chooseApiVersion('1.41', '1.12'), '1.41')
  assert.equal(chooseApiVersion('1.52', '1.44'), '1.44')
  assert.equal(chooseApiVersion('1.60', '1.48'), '1.48')
  assert.equal(chooseApiVersion('1.44', undefined), '1.44')
})
