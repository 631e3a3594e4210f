import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { readTar } from '../../common/read-tar.ts'
import { openFileBlobs } from '../../service/blobs/files.ts'
import { repositoryByName } from '../../service/database/repositories.ts'
import { openSqlite } from '../../service/database/sqlite.ts'
import type { Code, CodeAsked } from '../../service/source/source.ts'
import { serveGit } from '../support/git-http.ts'
import { TestRepository, temporaryFolder } from '../support/repositories.ts'
import { commitWithSubmodules as commit, gitmodules as modules } from '../support/submodules.ts'
import { testSource } from '../support/test-source.ts'

/** A git host with repositories whose trees may hold submodules. */
async function setUp(t: TestContext, limits?: { bytes: number; files: number }) {
  const folder = await temporaryFolder(t)
  const host = await serveGit(t, join(folder, 'git'))
  const database = openSqlite(join(folder, 'state'))
  t.after(() => database.close())
  const blobs = await openFileBlobs(join(folder, 'blobs'))
  const source = testSource(t, folder, { database, blobs, gitUrl: host.url, limits })
  const { id } = await database.write(({ db }) => repositoryByName(db, 'owner/app', 1))
  const notes: string[] = []
  const repository = async (name: string) => await TestRepository.make(join(folder, 'git', `${name}.git`))
  const codeAt = async (commit: string, asked: Partial<CodeAsked>) =>
    await source.codeAt(
      { repository: { id, name: 'owner/app' }, commit, callerDomain: id, ...asked },
      { signal: AbortSignal.timeout(30_000), report: (line) => notes.push(line) },
    )
  /** Every file of the code, links as what they point to. */
  const files = async ({ bundle }: Code) => {
    const found: Record<string, string> = {}
    for await (const { entry, content } of readTar(await blobs.open(bundle.digest))) {
      if (entry.type === 'file') found[entry.path] = await text(content)
      if (entry.type === 'symlink') found[entry.path] = `-> ${entry.link}`
    }
    return found
  }
  return { folder, host, blobs, database, id, notes, repository, codeAt, files }
}

test('submodules come at exactly the commits of the tree, theirs too, each fetched once', async (t) => {
  const { host, notes, repository, codeAt, files, id } = await setUp(t)
  const [app, lib, deep] = [await repository('owner/app'), await repository('owner/lib'), await repository('x/deep')]
  const inner = await commit(deep, { 'deep.py': 'old' })
  await commit(deep, { 'deep.py': 'new' })
  const middle = await commit(lib, {
    'lib.py': 'lib',
    'up.py': { link: 'lib.py' },
    'a/deep': { gitlink: inner },
    '.gitmodules': modules({ 'a/deep': '../../x/deep.git' }),
  })
  const tip = await commit(app, {
    'app.py': 'app',
    'vendor.txt': 'sorts before the folder',
    'vendor/lib': { gitlink: middle },
    '.gitmodules': modules({ 'vendor/lib': '../lib.git' }),
  })
  const plain = await codeAt(tip, {})
  assert.deepEqual(Object.keys(await files(plain)), ['.gitmodules', 'app.py', 'vendor.txt'])
  assert.match(notes.join(), /vendor\/lib is a submodule: its files are left out \("submodules: true" brings them\)/)

  const whole = await codeAt(tip, { submodules: true })
  const found = await files(whole)
  assert.deepEqual(Object.keys(found), [
    ...['.gitmodules', 'app.py', 'vendor.txt', 'vendor/lib/.gitmodules', 'vendor/lib/a/deep/deep.py'],
    ...['vendor/lib/lib.py', 'vendor/lib/up.py'],
  ])
  assert.equal(found['vendor/lib/a/deep/deep.py'], 'old')
  assert.notEqual(whole.bundle.digest, plain.bundle.digest)
  assert.equal(whole.domain, id)
  assert.equal((await codeAt(tip, {})).bundle.digest, plain.bundle.digest)

  // A submodule's commit has not become the repository's own code by that.
  await assert.rejects(codeAt(middle, {}), { name: 'CodeNotProven' })
  // The next commit finds the submodules here.
  const next = await commit(app, {
    'app.py': 'changed',
    'vendor/lib': { gitlink: middle },
    '.gitmodules': modules({ 'vendor/lib': '../lib.git' }),
  })
  host.asked.length = 0
  const changed = await codeAt(next, { submodules: true })
  assert.equal((await files(changed))['vendor/lib/a/deep/deep.py'], 'old')
  assert.deepEqual(
    host.asked.filter((path) => !path.startsWith('/owner/app.git')),
    [],
  )
  assert.equal((await codeAt(next, { submodules: true })).bundle.digest, changed.bundle.digest)
})

test('a submodule that is not there, has no address or one that is not fetched from is named', async (t) => {
  const { folder, host, repository, codeAt } = await setUp(t)
  const [app, lib] = [await repository('owner/app'), await repository('owner/lib')]
  const there = await commit(lib, { 'lib.py': '' })
  const gone = 'd'.repeat(40)
  const tryOut = async (gitmodules: string, gitlink = there) =>
    await codeAt(await commit(app, { lib: { gitlink }, '.gitmodules': gitmodules }), { submodules: true })
  const { port } = host.url
  for (const [gitmodules, message, gitlink] of [
    ['', /^submodule lib: \.gitmodules gives it no url/],
    ['[broken', /^submodule \.gitmodules: git can't read it: .*bad config line \d/],
    [modules({ lib: `file://${folder}/git/owner/lib.git` }), /submodule lib: "file:.*" is not an https: URL/],
    [modules({ lib: `${folder}/git/owner/lib.git` }), /submodule lib: ".*" is no URL/],
    [modules({ lib: 'ext::sh -c touch% /tmp/x' }), /submodule lib: "ext:.*" is/],
    [modules({ lib: '--upload-pack=x' }), /is no URL/],
    [
      modules({ lib: 'https://user:geheim@example.org/a' }),
      /"https:\/\/example\.org\/a" holds a user name or password/,
    ],
    [modules({ lib: 'https://169.254.169.254/a/b' }), /leads to a private address/],
    [modules({ lib: `http://127.0.0.1:${Number(port) + 1}/a/b` }), /is not an https: URL/],
    [modules({ lib: 'git@example.org:a/b' }), /is not an https: URL|is no URL/],
    [modules({ lib: '../../../%2e%2e/etc' }), /./],
    [modules({ lib: '../none.git' }), /^submodule lib: there is no repository at .*owner\/none\.git/],
    [modules({ lib: '../lib.git' }), /^submodule lib: .*owner\/lib\.git has no commit d{40}/, gone],
    [modules({ lib: '../app.git' }), /^submodule lib: .* has no commit/],
  ] as const) {
    await assert.rejects(tryOut(gitmodules, gitlink), (error: Error & { hint: string }) => {
      assert.match(error.message, message)
      assert.doesNotMatch(error.message, /geheim/)
      assert.ok(error.hint.length > 0)
      return true
    })
  }
  // Addresses for ssh of the configured host mean the same repositories there.
  for (const url of [`git@${host.url.hostname}:owner/lib.git`, `ssh://git@${host.url.hostname}:22/owner/lib.git`]) {
    assert.deepEqual(await (await tryOut(modules({ lib: url }))).tree.paths(), ['.gitmodules', 'lib/lib.py'])
  }
  host.fault = 401
  const credentials = { code: 'needs-credentials', hint: /without credentials/ }
  await assert.rejects(async () => {
    // Known so far: only the submodule is still to be fetched.
    host.fault = undefined
    const tip = await commit(app, { lib: { gitlink: gone }, '.gitmodules': modules({ lib: '../private.git' }) })
    await codeAt(tip, {})
    host.fault = 401
    await codeAt(tip, { submodules: true })
  }, credentials)
})

test('a submodule in itself ends, and what the whole may not be is refused', async (t) => {
  const { repository, codeAt } = await setUp(t, { bytes: 1000, files: 5 })
  const app = await repository('owner/app')
  const names = Array.from({ length: 12 }, (_, n) => n)
  let tip = await commit(app, { leaf: '' })
  for (const _ of names) tip = await commit(app, { s: { gitlink: tip }, '.gitmodules': modules({ s: '../app.git' }) })
  await assert.rejects(codeAt(tip, { submodules: true }), { name: 'SubmoduleRefused', message: /8 deep/ })

  const lib = await repository('owner/lib')
  const many = await commit(lib, Object.fromEntries(names.slice(0, 4).map((n) => [`f${n}`, 'x'])))
  const tree = { a: '', b: '', lib: { gitlink: many }, '.gitmodules': modules({ lib: '../lib.git' }) }
  await assert.rejects(codeAt(await commit(app, tree), { submodules: true }), { name: 'BundleRefused', code: 'size' })
  const outside = await commit(lib, { link: { link: '../../x' } })
  const linked = { lib: { gitlink: outside }, '.gitmodules': modules({ lib: '../lib.git' }) }
  await assert.rejects(codeAt(await commit(app, linked), { submodules: true }), {
    name: 'SubmoduleRefused',
    message: /^submodule lib: "link" is a link that leads outside/,
  })
})

test('files that Git LFS keeps take the place of their pointers, of submodules too', async (t) => {
  const { host, notes, blobs, repository, codeAt, files } = await setUp(t)
  const [app, lib] = [await repository('owner/app'), await repository('owner/lib')]
  const [model, data] = [Buffer.from('model '.repeat(9999)), Buffer.from('data')]
  const inner = await commit(lib, { 'data.bin': host.lfs.keep(data), 'again.bin': host.lfs.keep(data) })
  const tree = {
    'model.bin': { program: host.lfs.keep(model) },
    lib: { gitlink: inner },
    '.gitmodules': modules({ lib: '../lib.git' }),
  }
  const tip = await commit(app, tree)
  assert.match((await files(await codeAt(tip, {})))['model.bin'] ?? '', /^version https:\/\/git-lfs/)
  const code = await codeAt(tip, { lfs: true })
  assert.equal((await files(code))['model.bin'], model.toString())
  for await (const { entry } of readTar(await blobs.open(code.bundle.digest))) {
    if (entry.path === 'model.bin') assert.deepEqual([entry.mode, entry.size], [0o755, model.length])
  }
  const both = await files(await codeAt(tip, { lfs: true, submodules: true }))
  assert.deepEqual([both['model.bin'], both['lib/data.bin'], both['lib/again.bin']], [model, data, data].map(String))
  assert.equal(host.lfs.asked.length, 2, 'each object is fetched once')
  assert.match(notes.join('\n'), /^lfs: 1 files of .*owner\/lib\.git$/m)
})

test('objects that are not there, or not the ones of their pointers, are named', async (t) => {
  const { host, repository, codeAt } = await setUp(t)
  const app = await repository('owner/app')
  const pointer = host.lfs.keep(Buffer.from('right'))
  const oid = createHash('sha256').update('right').digest('hex')
  host.lfs.objects.set(oid, Buffer.from('wrong'))
  const tip = await commit(app, { a: pointer })
  await assert.rejects(codeAt(tip, { lfs: true }), { name: 'HashMismatch', message: new RegExp(`lfs object ${oid}`) })
  host.lfs.objects.delete(oid)
  const missing = { name: 'LfsRefused', message: /404 Object does not exist/, hint: /git lfs push/ }
  await assert.rejects(codeAt(tip, { lfs: true }), missing)
  host.lfs.objects.set(oid, Buffer.from('right'))
  assert.equal((await (await codeAt(tip, { lfs: true })).tree.read('a'))?.toString(), 'right')
})
