import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { InterpreterRequest } from '../../common/contract.ts'
import { type CondaChannel, condaChannel } from '../support/conda-channel.ts'
import { type CondaLocked, condaLocked } from '../support/conda-tools.ts'
import type { Project } from '../support/project.ts'
import { ServiceUnderTest } from '../support/service-under-test.ts'

/** Locks as conda-lock itself makes them, from a push to a run. */

let channel: CondaChannel
let service: ServiceUnderTest
let project: Project
let locked: CondaLocked
let sources: Record<string, string>
before(async () => {
  channel = await condaChannel()
  const source = (category: string, lines: string[]) =>
    `channels: [${channel.url}]\ncategory: ${category}\ndependencies:\n${lines.map((line) => `  - ${line}\n`).join('')}`
  sources = {
    'main.yml': source('main', ['python=3.11', 'leaf1', 'pip', 'pip:\n    - attrs==21.1.0']),
    'dev.yml': source('dev', ['greetplus']),
    'docs.yml': source('docs', ['greetdocs']),
  }
  locked = await condaLocked(sources)
  service = await ServiceUnderTest.start({ MEADOW_STANDBYS: '0', MEADOW_CONDA_CHANNELS: `test=${channel.url}` })
  project = await service.project('octo/locks')
})
after(async () => {
  await service?.close()
  await channel?.[Symbol.asyncDispose]()
})

async function names(files: Record<string, string>, request: Partial<InterpreterRequest> = {}, of = project) {
  const commit = await of.commit(files)
  const build = await of.built(await of.build(commit, { interpreter: 'auto', ...request }))
  assert.equal(build.state, 'finished', `${build.message} ${build.hint}`)
  const say = 'import importlib.metadata as m; print(*sorted(each.name for each in m.distributions()))'
  const { stdout, notes } = await of.ran(commit, { args: ['python', '-c', say], interpreter: 'auto', ...request })
  const yanked = (await of.notes(build.id)).filter((note) => note.includes('yanked'))
  return { names: stdout.toString().trim().split(' '), build, notes, yanked }
}

const MAIN = ['attrs', 'leaf1', 'pip']
const DEV = [...MAIN, 'greet', 'greetplus'].sort()

test('conda-lock.yml: main and dev, packages of pip on top; no fault is found with what it was made from', async () => {
  const { names: found, build, notes, yanked } = await names({ 'conda-lock.yml': locked.unified, ...sources })
  assert.deepEqual(found, DEV)
  assert.deepEqual(build.cache?.unpinned, [])
  assert.deepEqual(
    notes.filter((note) => note.includes('conda-lock.yml has')),
    [],
  )
  assert.equal(yanked.length, 1, yanked.join('\n'))
  assert.match(yanked[0] ?? '', /^conda-lock\.yml:\d+: `attrs==21\.1\.0` is yanked \(reason: "\w/)
})

test('conda-lock.yml: older than what it was made from: a line that was added, one that was removed', async () => {
  const asked = async (changed: Record<string, string>) => {
    const commit = await project.commit({ 'conda-lock.yml': locked.unified, ...sources, ...changed })
    return await project.build(commit, { interpreter: 'auto' })
  }
  const { message, hint } = await project.built(await asked({ 'dev.yml': `${sources['dev.yml']}  - leaf2\n` }))
  assert.equal(message, 'dev.yml:5: leaf2: conda-lock.yml has no such package, so it is older than this file')
  assert.equal(hint, 'Run "conda-lock lock --lockfile conda-lock.yml" and commit conda-lock.yml.')
  const removed = await asked({ 'main.yml': sources['main.yml']?.replace('  - leaf1\n', '') ?? '' })
  const note = /^conda-lock\.yml has what main\.yml and dev\.yml and docs\.yml does not ask for: leaf1\. If it is older/
  await project.eventsUntil(removed, (event) => event.kind === 'note' && note.test(event.text))
})

test('conda-lock.yml: the categories that are asked for, packages of two of them once', async () => {
  assert.equal(locked.unified.match(/^- name: greet$/gm)?.length, 2)
  const files = { 'conda-lock.yml': locked.unified }
  const both = await names(files, { groups: ['dev', 'docs'] })
  assert.deepEqual(both.names, [...DEV, 'greetdocs'].sort())
  assert.deepEqual((await names(files, { groups: ['main'] })).names, MAIN)
})

test('what it renders as an explicit list: packages of pip are taken from its comments, each file is fetched once', async () => {
  assert.match(locked.explicit, /^# pip attrs @ /m)
  // What was fetched before counts by its content; this is to be fetched.
  const others = locked.explicit.replaceAll('/channel/', '/channel/./')
  channel.asked.length = 0
  // In a repository that has heard nothing of these packages.
  const elsewhere = await service.project('octo/lists')
  const { names: found, yanked } = await names({ 'conda-linux-64.lock': others }, {}, elsewhere)
  assert.deepEqual(found, DEV)
  assert.equal(yanked.length, 1, yanked.join('\n'))
  assert.match(yanked[0] ?? '', /^conda-linux-64\.lock:\d+: `attrs==21\.1\.0` is yanked/)
  const packages = channel.asked.filter((path) => /\.(?:conda|tar\.bz2)$/.test(path)).sort()
  assert.equal(packages.length, 7)
  assert.deepEqual(packages, [...new Set(packages)])
})

test('what it renders as an environment of exact builds', async () => {
  const { names: found } = await names(
    { 'ci/conda-linux-64.lock.yml': locked.environment },
    { interpreter: 'ci/conda-linux-64.lock.yml' },
  )
  assert.deepEqual(found, DEV)
})
