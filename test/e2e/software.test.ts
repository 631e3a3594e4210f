import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Project } from '../support/project.ts'
import { ServiceUnderTest } from '../support/service-under-test.ts'

/** Debian packages above the base, from the distribution's own archive. */

let service: ServiceUnderTest
let project: Project
before(async () => {
  service = await ServiceUnderTest.start()
  project = await service.project('octo/orchard')
})
after(() => service?.close())

const ASKED = { 'additional-software': ['tree'] }

test('additional software is there, known the second time, and leaves the environment as it was', async () => {
  const commit = await project.commit({ 'requirements.txt': 'six==1.16.0\n' })
  await project.push(commit)
  const run = await project.ran(commit, { ...ASKED, command: 'tree --version && python -c "import six"' })
  assert.equal(run.run.outcome, 'ok', run.stderr.toString() + run.run.message)
  assert.match(run.stdout.toString(), /^tree v\d/)
  assert.ok(run.stages.includes('software'), run.stages.join())
  const said = run.notes.find((note) => note.startsWith('additional software'))
  assert.match(said ?? '', /as apt resolved it on \d{4}-\d\d-\d\d: tree=\S+; without a version: tree$/)
  // Nothing had to be compiled anew: the base's Python is the same.
  assert.deepEqual(run.cache?.['packages-new'], 0)

  const next = await project.commit({ 'requirements.txt': 'six==1.16.0\n', 'new.py': '' })
  await project.push(next)
  const again = await project.ran(next, { ...ASKED, command: 'tree -L 1 --noreport' })
  assert.equal(again.cache?.verdict, 'hit')
  assert.equal(again.cache?.image, run.cache?.image)
  assert.match(again.stdout.toString(), /new\.py/)

  const version = /: (tree=[^;,\s]+)/.exec(said ?? '')?.[1] ?? ''
  const exact = await project.ran(next, { 'additional-software': [version], command: 'tree --version' })
  assert.equal(exact.run.outcome, 'ok', exact.run.message)
  assert.equal(exact.cache?.image, run.cache?.image, 'the same layer')
  assert.ok(exact.notes.find((note) => note.startsWith('additional software'))?.endsWith(`: ${version}`))

  const without = await project.ran(next, { command: 'command -v tree || echo none' })
  assert.equal(without.stdout.toString(), 'none\n')
})

test('what apt refuses is said in its own words', async () => {
  const commit = await project.commit({ 'requirements.txt': 'six==1.16.0\n' })
  for (const [name, words] of [
    ['no-such-package-anywhere', /Unable to locate package no-such-package-anywhere/],
    ['tree=9.9', /Version '9\.9' for 'tree' was not found/],
  ] as const) {
    const build = await project.built(await project.build(commit, { 'additional-software': [name] }))
    assert.equal(build.state, 'failed')
    assert.match(build.message ?? '', words)
  }
  await assert.rejects(project.build(commit, { 'additional-software': ['--reinstall'] }), /additional-software/)
})
