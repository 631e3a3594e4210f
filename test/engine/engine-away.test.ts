import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type DockerEngine, dockerEngine } from '../../service/engine/docker.ts'
import { EngineUnavailable } from '../../service/engine/engine.ts'
import type { RunFrame } from '../../service/engine/frames.ts'
import { reattach } from '../../service/engine/standby.ts'
import { type SocketProxy, socketProxy } from '../support/socket-proxy.ts'
import { testEngine } from '../support/standbys.ts'

let proxy: SocketProxy
let made: ReturnType<typeof testEngine>
let docker: DockerEngine
before(async () => {
  proxy = await socketProxy('/var/run/docker.sock')
  docker = dockerEngine({ socketPath: proxy.path, networkPrefix: 'mdwaway' })
  made = testEngine('away', docker)
})
afterEach(() => proxy.mend())
after(async () => {
  await docker.removeNetworks()
  await made.clean()
  await proxy.remove()
})

test('an engine that is gone is EngineUnavailable in every call, and works when it is back', async () => {
  const { engine } = made
  const container = await engine.create(await made.spec(['true']))
  await proxy.cut()
  const calls: [string, () => Promise<unknown>][] = [
    ['info', () => engine.info()],
    ['pull', () => engine.pull('127.0.0.1:1/none:latest', {})],
    ['hasImage', () => engine.hasImage('none')],
    ['create', async () => engine.create(await made.spec(['true']))],
    ['find', () => engine.find({ a: 'b' })],
    ['start', () => container.start()],
    ['attach', () => container.attach()],
    ['wait', () => container.wait()],
    ['kill', () => container.kill('SIGKILL')],
    ['get', () => container.get('/etc/hostname')],
    ['diskUsed', () => container.diskUsed()],
    ['remove', () => container.remove()],
  ]
  for (const [name, call] of calls) {
    await assert.rejects(
      call,
      (error) => error instanceof EngineUnavailable && error.message.includes(proxy.path),
      name,
    )
  }
  await proxy.mend()
  assert.equal((await engine.info()).platform.startsWith('linux/'), true)
  await container.start()
  assert.deepEqual(await container.wait(), { exitCode: 0, oom: false })
  await container.remove()
})

test('what could not be removed while the engine was away goes when it is back, or is closed', async () => {
  const own = dockerEngine({ socketPath: proxy.path, networkPrefix: 'mdwaway', removeAgain: 20 })
  const last = dockerEngine({ socketPath: proxy.path, networkPrefix: 'mdwaway', removeAgain: 600_000 })
  const spec = await made.spec(['sleep', '1000'])
  const [container, other] = [await own.create(spec), await last.create(spec)]
  await container.start()
  await proxy.cut()
  await assert.rejects(container.remove(), EngineUnavailable)
  await assert.rejects(other.remove(), EngineUnavailable)
  await proxy.mend()
  const there = async (id: string) => (await made.engine.find(spec.labels)).some((found) => found.id === id)
  while (await there(container.id)) await sleep(20)
  assert.ok(await there(other.id))
  await last.close()
  assert.ok(!(await there(other.id)))
  await own.close()
})

test('an engine that goes away under a wait and under a copy is EngineUnavailable', async () => {
  const { engine } = made
  const container = await engine.create(await made.spec(['sleep', '1000']))
  await container.start()
  const wait = container.wait()
  const copy = container.get('/usr').then(async (tar) => {
    for await (const _ of tar) await proxy.cut()
  })
  const both = await Promise.allSettled([wait, copy])
  for (const each of both) {
    assert.equal(each.status, 'rejected')
    assert.ok(each.status === 'rejected' && each.reason instanceof EngineUnavailable, JSON.stringify(each))
  }
  await proxy.mend()
  await container.remove()
})

test('a run outlives the connection: its frames end with EngineUnavailable, and it is taken up again', async () => {
  const standby = await made.standby('3.11')
  const program = 'for n in range(50): print(n); __import__("time").sleep(0.02)'
  const run = standby.run({ argv: ['python3', '-c', program] }, { acknowledge: 'told' })
  const frames: RunFrame[] = []
  await assert.rejects(async () => {
    for await (const frame of run.frames) {
      frames.push(frame)
      if (frame.kind === 'stdout') await proxy.cut()
    }
  }, EngineUnavailable)
  run.detach()
  await proxy.mend()
  const next = await reattach(
    made.engine,
    run.containerId,
    (frames.at(-1) as RunFrame).end,
    AbortSignal.timeout(30_000),
  )
  for await (const frame of next.frames) frames.push(frame)
  await next.destroy()
  const text = frames.flatMap((frame) => (frame.kind === 'stdout' ? [frame.bytes.toString()] : [])).join('')
  assert.equal(text, Array.from({ length: 50 }, (_, n) => `${n}\n`).join(''))
})

test('an engine that hangs is given up when the caller says so', async () => {
  const container = await made.engine.create(await made.spec(['sleep', '1000']))
  await proxy.hang()
  await assert.rejects(container.wait(AbortSignal.timeout(100)), { name: 'TimeoutError' })
})
