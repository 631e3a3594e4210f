import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Build } from '../../common/contract.ts'
import type { Project } from '../support/project.ts'
import { ServiceUnderTest } from '../support/service-under-test.ts'
import { WorkflowJob } from '../support/workflow-job.ts'

/** From a signed push to the outputs of the bundled Action, on every Python that is covered; each test goes on from the last. */

const PYTHONS = ['3.9', '3.11', '3.13'] as const
const WORKFLOW = `
on: push
jobs:
  test:
    strategy: { matrix: { python: ["3.9", "3.11", "3.13"] } }
    steps:
      - uses: actions/checkout@v5
      - uses: meadow/run@v1
        with: { command: python check.py, python-version: "\${{ matrix.python }}" }
`
const CHECK = `import importlib.metadata, pathlib, sys
import markupsafe._speedups
print("%d.%d" % sys.version_info[:2], sys.prefix, markupsafe.__cached__ or markupsafe.__file__)
assert pathlib.Path(markupsafe.__spec__.cached).is_file(), "no byte code"
print(sorted((d.metadata["Name"].lower(), d.version) for d in importlib.metadata.distributions()))
print("here" if pathlib.Path("check.py").is_file() else "elsewhere")
`
const FILES = { '.github/workflows/test.yml': WORKFLOW, 'check.py': CHECK }

let service: ServiceUnderTest
let project: Project
let job: WorkflowJob
before(async () => {
  service = await ServiceUnderTest.start()
  project = await service.project('octo/garden')
})
after(() => service?.close())

let first: string
let second: string
const images = new Map<string, string>()

/** Waits until a push's images are there, and containers wait for its runs. */
async function prebuilt(commit: string): Promise<Map<string, Build>> {
  assert.equal(await project.push(commit), 'prebuild')
  const builds = new Map<string, Build>()
  for (const python of PYTHONS) {
    const build = await project.built(await project.build(commit, { 'python-version': python }))
    assert.equal(build.state, 'finished', build.message)
    builds.set(python, build)
  }
  await service.standbysOf(PYTHONS.map((python) => builds.get(python)?.image ?? ''))
  return builds
}

test('a push is prebuilt for every Python that its workflow names', async () => {
  first = await project.commit({ ...FILES, 'requirements.txt': 'markupsafe==3.0.2\nidna==3.7\n' })
  for (const [python, { cache, image }] of await prebuilt(first)) {
    images.set(python, image ?? '')
    const named = cache?.packages.map(({ name, after, why }) => [name, after, why])
    assert.deepEqual(named, [
      ['idna', '3.7', 'because requirements.txt:2 asks for idna==3.7'],
      ['markupsafe', '3.0.2', 'because requirements.txt:1 asks for markupsafe==3.0.2'],
    ])
    assert.deepEqual(cache?.unpinned, [])
  }
  assert.equal(new Set(images.values()).size, PYTHONS.length)
  job = await WorkflowJob.start(service.home, project)
})

for (const python of PYTHONS) {
  test(`the Action runs it warm on Python ${python}`, async () => {
    const { exitCode, log, outputs, summary } = await job.step(first, {
      command: 'python check.py',
      'python-version': python,
    })
    assert.equal(exitCode, 0, log.toString())
    const text = log.toString()
    assert.match(text, new RegExp(`^${python.replace('.', '\\.')} /opt/env .*markupsafe`, 'm'))
    assert.match(text, /\('idna', '3\.7'\), \('markupsafe', '3\.0\.2'\)/)
    assert.match(text, /^here$/m)
    assert.doesNotMatch(text, /starts cold|Sent /)
    assert.match(text, /^environment: requirements\.txt \(requirements\.txt\), detected at the root$/m)
    assert.match(outputs['run-id'] ?? '', /^run_[0-9a-f-]{36}$/)
    assert.match(outputs['seconds-to-start'] ?? '', /^\d+(\.\d+)?$/)
    const { outcome, 'exit-code': code, cache, image, result } = outputs
    assert.deepEqual([outcome, code, cache, image, result], ['ok', '0', 'hit', images.get(python), ''])
    assert.match(summary, /hit/)
    assert.match(summary, /python check\.py/)
  })
}

test('one requirement changes: a delta, and what is new and why', async () => {
  second = await project.commit({ ...FILES, 'requirements.txt': 'markupsafe==3.0.2\nidna==3.10\n' })
  for (const [python, { cache, image }] of await prebuilt(second)) {
    assert.notEqual(image, images.get(python))
    assert.equal(cache?.verdict, 'partial')
    assert.deepEqual(cache?.packages, [
      { name: 'idna', before: '3.7', after: '3.10', why: 'because requirements.txt:2 asks for idna==3.10' },
    ])
    assert.equal(cache?.['packages-new'], 1)
    assert.match(cache?.reason ?? '', /idna 3\.7 -> 3\.10, because requirements\.txt changed/)
  }
  const id = await project.build(second, { 'python-version': '3.11' })
  const told = await project.eventsUntil(id, ({ kind }) => kind === 'cache')
  const layers = told.find(({ event }) => event.kind === 'stage' && event.name === 'layers')?.event
  assert.match((layers as { detail?: string }).detail ?? '', /^a delta on the last image/)
})

test('the run after it is warm, and has the new package and not the old', async () => {
  const { exitCode, log, outputs } = await job.step(second, {
    command: 'python check.py',
    'python-version': '3.13',
    ref: second,
  })
  assert.equal(exitCode, 0, log.toString())
  assert.match(log.toString(), /\('idna', '3\.10'\), \('markupsafe', '3\.0\.2'\)/)
  assert.doesNotMatch(log.toString(), /starts cold|'3\.7'/)
  assert.equal(outputs.cache, 'hit')
})

test('a graceful stop leaves no container', async () => {
  assert.equal(await service.stop(), 0)
  assert.deepEqual(await service.containers(), [])
  assert.match(service.log, /stopped\n$/)
})
