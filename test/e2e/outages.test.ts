import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { cp, mkdir, readdir, rename, rmdir, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import type { Event } from '../../common/events.ts'
import { type IndexFile, makeSdist, type PackageIndex, packageIndex } from '../support/package-index.ts'
import type { Project } from '../support/project.ts'
import { ServiceUnderTest } from '../support/service-under-test.ts'
import { type SocketProxy, socketProxy } from '../support/socket-proxy.ts'
import { makeWheel } from '../support/wheels.ts'

/** What the service needs goes away in the middle: the engine, the index, time, disk. */

const noted = (words: RegExp) => (event: Event) => event.kind === 'note' && words.test(event.text)

describe('the engine', () => {
  let engine: SocketProxy
  let service: ServiceUnderTest
  let project: Project
  before(async () => {
    engine = await socketProxy('/var/run/docker.sock')
    service = await ServiceUnderTest.start({ MEADOW_ENGINE: `unix://${engine.path}` })
    project = await service.project('octo/river')
  })
  after(async () => {
    await engine?.mend()
    try {
      // What could not be removed while the engine was away is removed at the next start.
      await service?.kill()
      await service?.start()
      await service?.close()
    } finally {
      await engine?.remove()
    }
  })

  test('is away when the service starts: pushes are taken, the newest of a branch counts, and all is done later', async () => {
    await service.stop()
    await engine.cut()
    await service.start('healthz')
    const older = await project.commit({ 'requirements.txt': 'six==1.15.0\n' })
    const newer = await project.commit({ 'requirements.txt': 'six==1.16.0\n' })
    const beside = await project.repository.commit(
      { 'requirements.txt': 'six==1.14.0\n' },
      { ref: 'refs/heads/beside' },
    )
    assert.equal(await project.push(older), 'prebuild')
    assert.equal(await project.push(newer), 'prebuild')
    assert.equal(await project.push(beside, { ref: 'refs/heads/beside' }), 'prebuild')
    const answer = await fetch(`${service.home.url}/readyz`)
    assert.deepEqual([answer.status, /Docker|engine/.test(await answer.text())], [503, true])
    await engine.mend()
    await service.ready()
    for (const commit of [newer, beside]) {
      const build = await project.built(await project.build(commit))
      assert.equal(build.state, 'finished', build.message)
    }
    const [job] = service.ask<{ state: string }>('select state from jobs where payload like ?', `%"commit":"${older}"%`)
    assert.equal(job?.state, 'superseded')
    assert.deepEqual(service.ask('select id from builds where request like ?', `%${older}%`), [])
  })

  test('goes away while packages are made: the build says so, waits, and ends well', async () => {
    const commit = await project.commit({ 'requirements.txt': 'networkx==3.3\npygments==2.17.2\n' })
    await project.push(commit)
    const id = await project.build(commit)
    await project.eventsUntil(id, (event) => event.kind === 'stage' && event.name === 'resolve')
    await engine.cut()
    await project.eventsUntil(id, noted(/Docker.*it is tried again in/))
    await engine.mend()
    const build = await project.built(id)
    assert.equal(build.state, 'finished', build.message)
  })

  test('goes away during a run: no byte of its output is lost or doubled', async () => {
    const commit = await project.commit({ 'requirements.txt': 'six==1.16.0\n' })
    const program = 'import time\nfor n in range(1500): print("line", n); time.sleep(0.002)'
    const id = await project.submit(commit, { args: ['python', '-c', program] })
    await project.printedUntil(id, 'line 200\n')
    await engine.cut()
    await engine.mend()
    const { run, stdout } = await project.ended(id)
    assert.equal(run.outcome, 'ok', run.message)
    assert.equal(stdout.toString(), Array.from({ length: 1500 }, (_, n) => `line ${n}\n`).join(''))
  })
})

describe('the index', () => {
  const payload = { 'big.bin': randomBytes(3_000_000), 'big.py': 'WORDS = "all of it"\n' }
  const wheelOf = (name: string): IndexFile => ({
    filename: `${name}-1.0-py3-none-any.whl`,
    content: makeWheel({ name, version: '1.0', files: payload }),
  })
  const [once, never] = [wheelOf('onceoff'), wheelOf('neverwhole')]
  const slow = makeSdist(
    'slowly',
    'import time\ndef build_wheel(*_, **__):\n    print("begun", flush=True)\n    time.sleep(600)\n',
  )
  let index: PackageIndex
  let service: ServiceUnderTest
  let project: Project
  const left: (() => unknown)[] = []
  before(async () => {
    index = await packageIndex({ after: (end) => void left.push(end as never) }, [once, never, slow])
    service = await ServiceUnderTest.start({
      MEADOW_INDEX_URL: index.url,
      MEADOW_BUILD_TIMEOUT: '10s',
      MEADOW_STANDBYS: '0',
    })
    project = await service.project('octo/lake')
  })
  after(async () => {
    await service?.close()
    for (const end of left) await end()
  })

  test('a download that breaks off is taken up where it ended', async () => {
    index.cuts = 2
    const commit = await project.commit({ 'pylock.toml': index.lock(once) })
    const { run, stdout } = await project.ran(commit, { command: 'python -c "import big; print(big.WORDS)"' })
    assert.deepEqual([run.outcome, stdout.toString()], ['ok', 'all of it\n'], run.message)
    const starts = index.asked.map((range) => Number(/^bytes=(\d+)-$/.exec(range)?.[1] ?? 0))
    assert.ok(starts.length === 3 && starts[0] === 0 && 1_000_000 < (starts[1] ?? 0), starts.join())
    assert.ok((starts[1] ?? 0) < (starts[2] ?? 0), starts.join())
  })

  test('a download that always breaks off is said, with the package, its line and how often; nothing half stays', async () => {
    index.cuts = Number.POSITIVE_INFINITY
    const commit = await project.commit({ 'pylock.toml': index.lock(never) })
    const id = await project.build(commit)
    await project.eventsUntil(
      id,
      noted(
        /^pylock\.toml:4: neverwhole: .*neverwhole-1\.0-py3-none-any\.whl could not be fetched: .*broke off.*6 attempts; it is tried again in/,
      ),
    )
    assert.deepEqual(await halves(service), [])
    index.cuts = 0
    assert.equal((await project.built(id)).state, 'finished')
  })

  test('a build that runs out of time says so, and its container is gone', async () => {
    const commit = await project.commit({ 'pylock.toml': index.lock(slow) })
    const build = await project.built(await project.build(commit))
    assert.equal(build.state, 'failed')
    assert.match(build.message ?? '', /^pylock\.toml:4: slowly: building slowly 1\.0 needed more than 10 seconds/)
    assert.match(build.hint ?? '', /MEADOW_BUILD_TIMEOUT/)
    const steps = (await service.containers()).map(({ Labels }) => Labels['run.meadow.step'])
    assert.deepEqual(
      steps.filter((step) => !['resolving', 'compiling'].includes(step ?? '')),
      [],
    )
    assert.deepEqual(await halves(service), [])
  })
})

const ROOT = process.getuid?.() === 0
test('a full disk: the build says so, nothing half stays, and what fits is done', {
  skip: !ROOT && 'needs root',
}, async (t) => {
  const service = await ServiceUnderTest.start({ MEADOW_STANDBYS: '0' })
  let disk: { remove(): Promise<void> } | undefined
  t.after(async () => {
    await service.stop()
    await disk?.remove()
    await service.close()
  })
  await service.stop()
  disk = await smallDisk(join(service.home.folder, 'data'), 12_000_000)
  await service.start()
  const project = await service.project('octo/pond')
  const large = await project.commit({ 'requirements.txt': 'numpy==2.1.0\n' })
  const build = await project.built(await project.build(large))
  assert.equal(build.state, 'failed')
  assert.match(build.message ?? '', /no (room|space)/)
  assert.match(build.hint ?? '', /free space.*MEADOW_DATA/i)
  assert.deepEqual(await halves(service), [])
  const small = await project.commit({ 'requirements.txt': 'idna==3.7\n' })
  const { run, stdout } = await project.ran(small, { command: 'python -c "import idna; print(idna.__version__)"' })
  assert.deepEqual([run.outcome, stdout.toString()], ['ok', '3.7\n'], run.message)
})

/** Files that were being written. */
async function halves(service: ServiceUnderTest): Promise<string[]> {
  const data = join(service.home.folder, 'data')
  const files = await Promise.all(['work', 'blobs/temp'].map((folder) => readdir(join(data, folder))))
  return files.flat().filter((name) => name !== 'builder')
}

/** Puts a folder onto a file system in memory that has so many bytes of room. */
async function smallDisk(folder: string, room: number): Promise<{ remove(): Promise<void> }> {
  const run = promisify(execFile)
  const aside = `${folder}-aside`
  await rename(folder, aside)
  await mkdir(folder)
  await run('mount', ['-t', 'tmpfs', '-o', 'size=90%,mode=700', 'tmpfs', folder])
  await cp(aside, folder, { recursive: true })
  const { blocks, bfree, bsize } = await statfs(folder)
  await run('mount', ['-o', `remount,size=${(blocks - bfree) * bsize + room}`, folder])
  return {
    remove: async () => {
      await run('umount', ['--lazy', folder])
      await rmdir(folder)
      await rename(aside, folder)
    },
  }
}
