import assert from 'node:assert/strict'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { commitBundle } from '../../common/bundle-format.ts'
import type { UploadedBundle } from '../../common/contract.ts'
import { git } from '../../common/git-process.ts'
import { ObjectReader } from '../../common/object-reader.ts'
import { openFileBlobs } from '../../service/blobs/files.ts'
import { recordPush } from '../../service/database/deliveries.ts'
import { repositoryByName } from '../../service/database/repositories.ts'
import { openSqlite } from '../../service/database/sqlite.ts'
import type { CodeAsked } from '../../service/source/source.ts'
import { serveGit } from '../support/git-http.ts'
import { TestRepository, temporaryFolder } from '../support/repositories.ts'
import { testSource } from '../support/test-source.ts'

const FILES = { 'requirements.txt': 'six\n', 'pkg/run': { program: '#!/bin/sh\n' }, link: { link: 'pkg' } }

async function setUp(t: TestContext) {
  const folder = await temporaryFolder(t)
  const origin = await TestRepository.make(join(folder, 'git', 'owner', 'name.git'))
  await origin.git(['config', 'uploadpack.allowFilter', 'true'])
  const host = await serveGit(t, join(folder, 'git'))
  const database = openSqlite(join(folder, 'state'))
  t.after(() => database.close())
  const blobs = await openFileBlobs(join(folder, 'blobs'))
  const source = testSource(t, folder, { database, blobs, gitUrl: host.url })
  const { id } = await database.write(({ db }) => repositoryByName(db, 'owner/name', 1))
  const notes: string[] = []
  const codeAt = async (commit: string, asked: Partial<CodeAsked> = {}) =>
    await source.codeAt(
      { repository: { id, name: 'owner/name' }, commit, callerDomain: id, ...asked },
      { signal: new AbortController().signal, report: (line) => notes.push(line) },
    )
  const push = (commit: string) =>
    database.write(({ db }) => recordPush(db, { repository: id, commit_id: commit, ref: 'refs/heads/x', received: 1 }))
  /** What the Action sends of a commit in its own checkout. */
  const upload = async (from: TestRepository, commit: string): Promise<UploadedBundle> => {
    await using objects = new ObjectReader({ cwd: from.folder })
    const { chunks, gitlinks } = await commitBundle(objects, commit)
    const raw = await git(['cat-file', 'commit', commit], { cwd: from.folder })
    const { digest } = await blobs.put(chunks)
    return { digest, 'commit-object': raw.toString('base64'), gitlinks }
  }
  return { folder, origin, host, blobs, id, notes, codeAt, push, upload }
}

test('a pushed commit is fetched once and can be looked into', async (t) => {
  const { origin, host, id, codeAt, push } = await setUp(t)
  const commit = await origin.commit(FILES)
  await push(commit)
  const code = await codeAt(commit)
  assert.equal(code.domain, id)
  assert.deepEqual(await code.tree.paths(), ['pkg/run', 'requirements.txt', 'link/run'])
  assert.equal((await code.tree.read('requirements.txt'))?.toString(), 'six\n')
  assert.equal(await code.tree.read('link'), undefined)
  assert.equal((await code.tree.read('link/run'))?.toString(), '#!/bin/sh\n')
  host.asked.length = 0
  assert.equal((await codeAt(commit)).bundle.digest, code.bundle.digest)
  assert.deepEqual(host.asked, [])
})

test('a commit that several ask for at once is made a bundle once', async (t) => {
  const { origin, blobs, codeAt, push } = await setUp(t)
  const commit = await origin.commit(FILES)
  await push(commit)
  const put = t.mock.method(blobs, 'put')
  const [one, two] = await Promise.all([codeAt(commit), codeAt(commit)])
  assert.equal(one.bundle.digest, two.bundle.digest)
  // The bundle, and what is remembered of it.
  assert.equal(put.mock.callCount(), 2)
})

test("a commit in the history of a branch or tag is the repository's own without a push", async (t) => {
  const { origin, id, codeAt } = await setUp(t)
  const first = await origin.commit({ a: '1' })
  const second = await origin.commit({ a: '2' }, { parents: [first], ref: 'refs/heads/main' })
  const tagged = await origin.commit({ a: '3' })
  await origin.git(['tag', '-a', '-m', 'annotated', 'v1', tagged])
  for (const commit of [second, first, tagged]) assert.equal((await codeAt(commit)).domain, id, commit)
})

test("a fork's commit, asked for under the base's name, is refused although the host hands it out", async (t) => {
  const { origin, codeAt } = await setUp(t)
  const base = await origin.commit({ a: '1' }, { ref: 'refs/heads/main' })
  const fork = await origin.commit({ a: 'evil' }, { parents: [base] })
  await assert.rejects(codeAt(fork), { name: 'CodeNotProven', message: new RegExp(fork), hint: /Push it to a branch/ })
  // Nor does somebody else's pull request, or an older look at one, let it in.
  await origin.git(['update-ref', 'refs/pull/4/head', fork])
  await assert.rejects(codeAt(fork, { pullRequest: 5 }), { name: 'CodeNotProven', message: /pull request 5/ })
  assert.match((await codeAt(fork, { pullRequest: 4 })).domain, /\/pull\/4$/)
  await assert.rejects(codeAt(fork, { pullRequest: 5 }), { name: 'CodeNotProven' })
  await assert.rejects(codeAt(fork), { name: 'CodeNotProven' })
})

test("a fork's pull request is a domain of its own, its merge commit too", async (t) => {
  const { origin, id, codeAt } = await setUp(t)
  const base = await origin.commit({ a: '1' }, { ref: 'refs/heads/main' })
  const older = await origin.commit({ a: 'fork' }, { parents: [base] })
  const head = await origin.commit({ a: 'fork 2' }, { parents: [older], ref: 'refs/pull/5/head' })
  const merge = await origin.commit({ a: 'fork 3' }, { parents: [base, head], ref: 'refs/pull/5/merge' })
  for (const commit of [head, merge, older]) {
    assert.equal((await codeAt(commit, { pullRequest: 5 })).domain, `${id}/pull/5`)
  }
  assert.equal((await codeAt(base, { pullRequest: 5 })).domain, id)
})

test('a pull request between two branches of the repository is its own code', async (t) => {
  const { origin, id, codeAt, push } = await setUp(t)
  const base = await origin.commit({ a: '1' }, { ref: 'refs/heads/main' })
  const head = await origin.commit({ a: '2' }, { parents: [base], ref: 'refs/heads/feature' })
  await origin.git(['update-ref', 'refs/pull/6/head', head])
  const merge = await origin.commit({ a: '2' }, { parents: [base, head], ref: 'refs/pull/6/merge' })
  assert.equal((await codeAt(merge, { pullRequest: 6 })).domain, id)
  // The branch is gone, but its push was seen.
  const gone = await origin.commit({ a: '3' }, { parents: [base], ref: 'refs/pull/7/head' })
  const merged = await origin.commit({ a: '3' }, { parents: [base, gone], ref: 'refs/pull/7/merge' })
  await push(gone)
  assert.equal((await codeAt(merged, { pullRequest: 7 })).domain, id)
})

test('a head that moved to trusted code does not lift what the merge ref still holds', async (t) => {
  const { origin, id, codeAt } = await setUp(t)
  const base = await origin.commit({ a: '1' }, { ref: 'refs/heads/main' })
  const evil = await origin.commit({ a: 'evil' }, { parents: [base] })
  const merge = await origin.commit({ a: 'evil' }, { parents: [base, evil], ref: 'refs/pull/8/merge' })
  await origin.git(['update-ref', 'refs/pull/8/head', base])
  assert.equal((await codeAt(merge, { pullRequest: 8 })).domain, `${id}/pull/8`)
  const root = await origin.commit({ a: 'root' }, { ref: 'refs/pull/9/merge' })
  assert.equal((await codeAt(root, { pullRequest: 9 })).domain, `${id}/pull/9`)
})

test('a caller narrows and never widens', async (t) => {
  const { origin, id, codeAt } = await setUp(t)
  const own = await origin.commit({ a: '1' }, { ref: 'refs/heads/main' })
  const head = await origin.commit({ a: '2' }, { parents: [own], ref: 'refs/pull/5/head' })
  assert.equal((await codeAt(own, { callerDomain: `${id}/pull/5` })).domain, `${id}/pull/5`)
  assert.equal((await codeAt(head, { pullRequest: 5, callerDomain: `${id}/pull/5` })).domain, `${id}/pull/5`)
  for (const callerDomain of [`${id}/pull/6`, 'rep_other', 'rep_other/pull/5']) {
    await assert.rejects(codeAt(head, { pullRequest: 5, callerDomain }), { name: 'WrongDomain' })
  }
  assert.equal((await codeAt(own)).domain, id)
})

test('an upload that proves itself is code of nobody but its commit', async (t) => {
  const { folder, codeAt, upload, id, host } = await setUp(t)
  const mine = await TestRepository.make(join(folder, 'mine'))
  const commit = await mine.commit({ ...FILES, 'deep/er/file': 'x' })
  const bundle = await upload(mine, commit)
  const code = await codeAt(commit, { bundle })
  assert.equal(code.domain, `${id}/commit/${commit}`)
  assert.equal(code.bundle.digest, bundle.digest)
  assert.equal((await code.tree.read('deep/er/file'))?.toString(), 'x')
  assert.equal((await codeAt(commit)).domain, code.domain, 'known from now on')
  host.fault = 401
  const other = await mine.commit({ other: '1' })
  assert.equal((await codeAt(other, { bundle: await upload(mine, other) })).domain, `${id}/commit/${other}`)
  await assert.rejects(codeAt(await mine.commit({ none: '1' })), { code: 'needs-credentials' })
})

test('a pushed commit of a host that asks for credentials is taken from the upload, with submodules', async (t) => {
  const { folder, codeAt, upload, push, id, host, notes } = await setUp(t)
  const mine = await TestRepository.make(join(folder, 'mine'))
  const tree = await mine.tree([
    { mode: '100755', name: 'a', id: await mine.blob('x') },
    { mode: '160000', name: 'vendor', id: '3'.repeat(40) },
  ])
  const commit = await mine.commitTree(tree)
  await push(commit)
  host.fault = 401
  assert.equal((await codeAt(commit, { bundle: await upload(mine, commit) })).domain, id)
  assert.match(notes.join('\n'), /credentials.*; the uploaded code is used\nvendor is a submodule/s)
})

test('an upload that is not what it claims is refused, and nothing is kept', async (t) => {
  const { folder, codeAt, upload, blobs, push } = await setUp(t)
  const mine = await TestRepository.make(join(folder, 'mine'))
  const commit = await mine.commit({ 'a/b': 'good', run: { program: 'x' } })
  const bundle = await upload(mine, commit)
  const evil = await upload(mine, await mine.commit({ 'a/b': 'evil', run: { program: 'x' } }))
  const mode = await upload(mine, await mine.commit({ 'a/b': 'good', run: 'x' }))
  const less = await upload(mine, await mine.commit({ 'a/b': 'good' }))
  const tar = await buffer(await blobs.open(bundle.digest as `sha256:${string}`))
  const padded = await blobs.put(Buffer.concat([tar, Buffer.alloc(512)]))
  const cases: [UploadedBundle, RegExp][] = [
    [{ ...bundle, digest: evil.digest }, /files are not those/],
    [{ ...bundle, digest: mode.digest }, /files are not those/],
    [{ ...bundle, digest: less.digest }, /files are not those/],
    [{ ...bundle, 'commit-object': evil['commit-object'] }, /commit object is not that/],
    [{ ...bundle, gitlinks: [{ path: 'c', id: '1'.repeat(40) }] }, /files are not those/],
    [{ ...bundle, digest: padded.digest }, /canonical/],
  ]
  for (const [bundle, message] of cases) {
    await assert.rejects(codeAt(commit, { bundle }), { name: 'BundleRefused', code: 'proof', message })
  }
  await assert.rejects(codeAt(commit), { name: 'CodeNotProven' })
  await push(commit)
  await assert.rejects(codeAt(commit), { name: 'RemoteError', code: 'commit-not-found' })
})

test('a tree with a link that leads outside is refused wherever it comes from', async (t) => {
  const { origin, codeAt, push } = await setUp(t)
  const files = { a: 'x', 'b/up': { link: '../../x' } }
  const commit = await origin.commit(files, { ref: 'refs/heads/main' })
  await assert.rejects(codeAt(commit), { name: 'BundleRefused', code: 'link', path: 'b/up' })
  await push(commit)
  await assert.rejects(codeAt(commit), { name: 'BundleRefused', code: 'link' })
})

test('a host without partial clones still proves history', async (t) => {
  const { origin, id, codeAt } = await setUp(t)
  await origin.git(['config', 'uploadpack.allowFilter', 'false'])
  const first = await origin.commit({ a: '1' })
  await origin.commit({ a: '2' }, { parents: [first], ref: 'refs/heads/main' })
  assert.equal((await codeAt(first)).domain, id)
})
