import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import Docker from 'dockerode'
import type { Event } from '../../common/events.ts'
import type { EndedRun, Project } from '../support/project.ts'
import { ServiceUnderTest } from '../support/service-under-test.ts'

/** The service is killed in the middle of its work, as a power cut would, and started again. */

const PATIENCE_MS = 60_000
const SIX = 'six==1.16.0\n'

let service: ServiceUnderTest
let project: Project
before(async () => {
  service = await ServiceUnderTest.start()
  project = await service.project('octo/forest')
})
after(() => service?.close())

async function killAndStart(): Promise<void> {
  await service.kill()
  await service.start()
}

async function until<T>(look: () => T | undefined | Promise<T | undefined>, what: string): Promise<T> {
  const limit = Date.now() + PATIENCE_MS
  for (;;) {
    const found = await look()
    if (found !== undefined) return found
    if (Date.now() > limit) throw new Error(`${what} did not come:\n${service.log.slice(-4000)}`)
    await sleep(20)
  }
}

/** Steps whose containers are kept ready for the next build. */
const KEPT = ['resolving', 'compiling']

/** Nothing is stuck, and every container is one that the service knows of. */
async function allIsWell(): Promise<void> {
  await until(() => {
    const [row] = service.ask<{ n: number }>("select count(*) n from jobs where state in ('queued', 'running')")
    return row?.n === 0 || undefined
  }, 'the end of all jobs')
  const standbys = new Set(
    service.ask<{ container: string }>('select container from standbys').map((row) => row.container),
  )
  const strays = (await service.containers()).filter(
    ({ Id, Labels }) => !standbys.has(Id) && !KEPT.includes(Labels['run.meadow.step'] ?? ''),
  )
  assert.deepEqual(
    strays.map(({ Names, Labels }) => [Names, Labels]),
    [],
  )
}

const WHEELS = 'babel==2.16.0\npygments==2.18.0\ndocutils==0.21.2\n'
const stage = (name: string) => (event: Event) => event.kind === 'stage' && event.name === name
for (const [moment, requirements, module, reached] of [
  ['resolving', 'requests==2.32.3\n', 'requests', stage('base')],
  [
    'fetching and making packages',
    WHEELS,
    'babel, pygments, docutils',
    (event: Event) => event.kind === 'progress' && event.what === 'packages',
  ],
  ['pulling', 'toolz==1.0.0\n', 'toolz', stage('layers')],
  [
    'making a standby',
    'attrs==24.2.0\n',
    'attr',
    (event: Event) => event.kind === 'state' && event.state === 'finished',
  ],
] as const) {
  test(`killed while ${moment}: the build and the run that waits for it go on`, async () => {
    const commit = await project.commit({ 'requirements.txt': requirements })
    await project.push(commit)
    const id = await project.build(commit)
    const run = await project.submit(commit, { command: `python -c "import ${module}; print('done')"` })
    await project.eventsUntil(id, reached)
    await killAndStart()
    const build = await project.built(id)
    assert.equal(build.state, 'finished', build.message)
    const ended = await project.ended(run)
    assert.deepEqual([ended.run.outcome, ended.stdout.toString()], ['ok', 'done\n'], ended.run.message)
    inOrder(ended)
    await service.standbysOf([build.image ?? ''])
    await allIsWell()
  })
}

test('killed right after a push was acknowledged: the push is not lost', async () => {
  const commit = await project.commit({ 'requirements.txt': `${SIX}idna==3.7\n` })
  assert.equal(await project.push(commit), 'prebuild')
  await killAndStart()
  const built = await until(
    () => service.ask<{ id: string }>('select id from builds where request like ?', `%${commit}%`)[0],
    'the build of the push',
  )
  const build = await project.built(built.id)
  assert.equal(build.state, 'finished', build.message)
  await service.standbysOf([build.image ?? ''])
})

/** Prints numbered lines, slowly enough that much can happen meanwhile. */
const COUNT = `import sys, time
for number in range(int(sys.argv[1])):
    print("line %d" % number, "\\u00fc" * 20)
    if number % 100 == 0: print("at %d" % number, file=sys.stderr)
    time.sleep(float(sys.argv[2]))
`
const numbered = (count: number) => Array.from({ length: count }, (_, number) => `line ${number} ${'ü'.repeat(20)}\n`)

async function counting(count: number, pause: number): Promise<string> {
  const commit = await project.commit({ 'requirements.txt': SIX, 'count.py': COUNT })
  return await project.submit(commit, { args: ['python', 'count.py', `${count}`, `${pause}`] })
}

/** Every event once, and none missing. */
function inOrder({ told, run }: EndedRun): void {
  for (const of of new Set(told.map((each) => each.of))) {
    const seqs = told.filter((each) => each.of === of).map(({ event }) => event.seq)
    assert.deepEqual(
      seqs,
      seqs.map((_, index) => index + 1),
      `events of ${of} in ${run.id}`,
    )
  }
}

function countedTo(ended: EndedRun, count: number): void {
  assert.deepEqual([ended.run.outcome, ended.run['exit-code']], ['ok', 0], ended.run.message)
  assert.equal(ended.stdout.toString(), numbered(count).join(''))
  assert.equal(ended.stderr.toString().split('\n').length - 1, Math.ceil(count / 100))
  assert.ok(ended.told.every(({ event }) => event.kind !== 'gap'))
  inOrder(ended)
}

test('killed twice during a run: no byte of its output is lost or doubled', async () => {
  const id = await counting(1500, 0.002)
  for (const text of ['line 200 ', 'line 700 ']) {
    await project.printedUntil(id, text)
    await killAndStart()
  }
  const ended = await project.ended(id)
  countedTo(ended, 1500)
  assert.ok(ended.notes.some((note) => note.includes('takes it up again')))
  await allIsWell()
})

test('a run that ends while nobody is there is told to its end', async () => {
  const id = await counting(300, 0.002)
  await project.printedUntil(id, 'line 50 ')
  await service.kill()
  const [row] = service.ask<{ container: string }>('select container from runs where id = ?', id)
  const container = new Docker().getContainer(row?.container ?? '')
  await until(async () => {
    const { Processes } = (await container.top()) as { Processes: string[][] }
    return Processes.length === 1 || undefined
  }, 'the end of the process')
  await service.start()
  countedTo(await project.ended(id), 300)
})

test('a run whose container is gone is reported as lost', async () => {
  const id = await counting(100_000, 0.01)
  await project.printedUntil(id, 'line 50 ')
  await service.kill()
  const [row] = service.ask<{ container: string }>('select container from runs where id = ?', id)
  await new Docker().getContainer(row?.container ?? '').remove({ force: true, v: true })
  await service.start()
  const { run } = await project.ended(id)
  assert.equal(run.outcome, 'lost')
  assert.match(`${run.message} ${run.hint}`, /interrupted.*run it again/)
  await allIsWell()
})

test('a run that is waited for when the service is told to stop is handed back, and goes on after the next start', async () => {
  const id = await counting(1200, 0.012)
  await project.printedUntil(id, 'line 50 ')
  assert.equal(await service.stop(), 0)
  const [run] = service.ask<{ state: string }>(
    "select state from jobs where kind = 'run' and payload like ?",
    `%${id}%`,
  )
  assert.equal(run?.state, 'queued')
  assert.doesNotMatch(service.log, /could not be handed back/)
  await service.start()
  countedTo(await project.ended(id), 1200)
  await allIsWell()
})
