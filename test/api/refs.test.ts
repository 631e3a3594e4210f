import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { openFileBlobs } from '../../service/blobs/files.ts'
import { openSqlite } from '../../service/database/sqlite.ts'
import { startApi } from '../support/api.ts'
import { serveGit } from '../support/git-http.ts'
import { TestRepository, temporaryFolder } from '../support/repositories.ts'
import { testSource } from '../support/test-source.ts'

async function setUp(t: TestContext) {
  const folder = await temporaryFolder(t)
  const origin = await TestRepository.make(join(folder, 'git', 'octo', 'garden.git'))
  const host = await serveGit(t, join(folder, 'git'))
  const database = openSqlite(join(folder, 'state'))
  t.after(() => database.close())
  const blobs = await openFileBlobs(join(folder, 'blobs'))
  const source = testSource(t, folder, { database, blobs, gitUrl: host.url })
  const api = await startApi(t, { source })
  const token = await api.token()
  const ask = async (ref: string, repository = 'octo/garden') =>
    await api.call('POST', '/v1/refs', { token, body: { repository, ref } })
  return { api, host, origin, ask }
}

test('branches and tags are looked up at the git host, tags first, as git does', async (t) => {
  const { origin, ask } = await setUp(t)
  const main = await origin.commit({ a: '1' }, { ref: 'refs/heads/main' })
  const side = await origin.commit({ a: '2' }, { ref: 'refs/heads/side/branch' })
  const tagged = await origin.commit({ a: '3' })
  await origin.git(['tag', '-a', '-m', 'annotated', 'v1', tagged])
  await origin.git(['update-ref', 'refs/heads/v1', side])
  // Names that end alike are others.
  await origin.git(['update-ref', 'refs/heads/x/refs/heads/main', side])
  for (const [ref, commit, whole] of [
    ['main', main, 'refs/heads/main'],
    ['side/branch', side, 'refs/heads/side/branch'],
    ['v1', tagged, 'refs/tags/v1'],
    ['refs/heads/v1', side, 'refs/heads/v1'],
    ['HEAD', main, 'HEAD'],
  ] as const) {
    const { status, body } = await ask(ref)
    assert.deepEqual([status, body], [200, { commit, ref: whole }], ref)
  }
})

test('what is not there, is no name, or is a pull request of somebody is refused by name', async (t) => {
  const { api, origin, host, ask } = await setUp(t)
  const fork = await origin.commit({ a: '1' }, { ref: 'refs/pull/5/head' })
  await origin.git(['update-ref', 'refs/heads/main', fork])
  for (const [ref, status, code] of [
    ['nothing', 404, 'ref-not-found'],
    ['refs/pull/5/head', 400, 'ref-malformed'],
    ['--upload-pack=touch /tmp/x', 400, 'ref-malformed'],
    ['*', 400, 'ref-malformed'],
    ['a..b', 400, 'ref-malformed'],
    ['main\nHEAD', 400, 'ref-malformed'],
  ] as const) {
    const answer = await ask(ref)
    assert.deepEqual([answer.status, answer.body.error.code], [status, code], ref)
    assert.match(answer.body.error.message, /^ref: /)
  }
  assert.equal((await ask('main', 'octo/other')).status, 403)
  const other = await api.token('octo/other')
  const none = await api.call('POST', '/v1/refs', { token: other, body: { repository: 'octo/other', ref: 'main' } })
  assert.deepEqual([none.status, none.body.error.code], [404, 'repository-not-found'])
  host.fault = 503
  const away = await ask('main')
  assert.deepEqual([away.status, away.body.error.code], [502, 'unreachable'])
})
