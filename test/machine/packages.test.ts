import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, test } from 'node:test'
import { ensurePackages, findProgram } from '../../machine/packages.ts'
import { cacheFolder, findStandIn } from '../../machine/stand-ins.ts'

const path = process.env.PATH
afterEach(() => {
  process.env.PATH = path
})

test('without apt, says what is missing and what to install, and does nothing', async () => {
  process.env.PATH = '/nonexistent'
  const said: string[] = []
  const asked = ensurePackages(['docker-registry', 'skopeo'], { say: (line) => said.push(line) })
  await assert.rejects(asked, /lacks docker-registry, skopeo\. Install docker-registry, skopeo .*apt-get install/)
  assert.deepEqual(said, [])
})

test('says and does nothing where all is there', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'meadow-test-path-'))
  t.after(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'skopeo'), '', { mode: 0o755 })
  writeFileSync(join(folder, 'git'), '', { mode: 0o644 })
  process.env.PATH = folder
  const said: string[] = []
  await ensurePackages(['skopeo'], { say: (line) => said.push(line) })
  assert.deepEqual(said, [])
  assert.equal(findProgram('git'), undefined, 'a file that is no program')
})

test('a name that no stand-in can be made for lists those that can', () => {
  assert.equal(findStandIn('python:3.13-slim-trixie').suite, 'trixie')
  assert.throws(() => findStandIn('python:3.12'), /python:3\.12, only for python:3\.9-slim-bullseye, /)
})

test('what is dear to make is kept in one place', () => {
  assert.equal(cacheFolder({ XDG_CACHE_HOME: '/var/cache' }), '/var/cache/meadow-run')
  assert.match(cacheFolder({}), /\/\.cache\/meadow-run$/)
})
