import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { repositoryByName } from '../../service/database/repositories.ts'
import { openSqlite } from '../../service/database/sqlite.ts'
import { allAuthorities } from '../../service/fetch/authorities.ts'
import { createGitDependencies } from '../../service/source/git-dependencies.ts'
import { foreignHost } from '../support/foreign-host.ts'
import { serveGit } from '../support/git-http.ts'
import { MemoryBlobs } from '../support/memory-blobs.ts'
import { TestRepository, temporaryFolder } from '../support/repositories.ts'
import { commitWithSubmodules, gitmodules } from '../support/submodules.ts'
import { testSource } from '../support/test-source.ts'

/** Packages and submodules on a git host that the service knows nothing of, by https. */

const signal = AbortSignal.timeout(60_000)

async function setUp(t: TestContext) {
  const folder = await temporaryFolder(t)
  const foreign = await foreignHost(t, join(folder, 'foreign'))
  const configured = await serveGit(t, join(folder, 'git'))
  const { file: caBundle } = await allAuthorities(foreign.ca, folder)
  const blobs = new MemoryBlobs()
  const gitUrl = configured.url
  const git = createGitDependencies({ blobs, folder: join(folder, 'dependencies'), gitUrl, caBundle })
  const repository = async (name: string) => await TestRepository.make(join(folder, `${name}.git`))
  return { folder, foreign, git, gitUrl, blobs, caBundle, repository }
}

test('a branch, an annotated tag, and exactly one commit of a foreign host', async (t) => {
  const { folder, git, gitUrl, blobs, repository } = await setUp(t)
  const lib = await repository('foreign/lib')
  const first = await lib.commit({ 'lib.py': 'FIRST' }, { ref: 'refs/heads/main' })
  await lib.git(['tag', '-a', '-m', 'v1', 'v1', first])
  const second = await lib.commit({ 'lib.py': 'SECOND' }, { parents: [first], ref: 'refs/heads/main' })
  const url = 'https://git.example.org/lib.git'
  assert.deepEqual(
    await Promise.all(['v1', 'main', 'refs/heads/main', undefined].map((ref) => git.resolve(url, ref, signal))),
    [first, second, second, second],
  )
  assert.equal(await git.resolve(url, first.slice(0, 7), signal), first)
  await assert.rejects(git.resolve(url, 'abcdef0', signal), {
    message: `${url} has no branch or tag abcdef0`,
    hint: /all 40 digits/,
  })
  assert.deepEqual(await readdir(join(folder, 'dependencies')), [])
  assert.equal((await (await git.tree(url, first, signal)).read('lib.py'))?.toString(), 'FIRST')
  const untrusting = createGitDependencies({ blobs, folder: join(folder, 'other'), gitUrl })
  await assert.rejects(untrusting.resolve(url, 'main', signal), {
    name: 'GitDependencyFailed',
    message: /lib\.git could not be reached: .*certificate/,
    retryable: true,
  })
})

test('submodules come with it, and theirs', async (t) => {
  const { git, repository } = await setUp(t)
  const deep = await (await repository('foreign/deep')).commit({ 'deep.c': 'DEEP' }, { ref: 'refs/heads/main' })
  const sub = await commitWithSubmodules(await repository('foreign/sub'), {
    'sub.c': 'SUB',
    '.gitmodules': gitmodules({ deep: 'https://git.example.org/deep.git' }),
    deep: { gitlink: deep },
  })
  const lib = await commitWithSubmodules(await repository('foreign/lib'), {
    'lib.c': 'LIB',
    '.gitmodules': gitmodules({ vendor: '../sub.git' }),
    vendor: { gitlink: sub },
  })
  const tree = await git.tree('https://git.example.org/lib.git', lib, signal)
  assert.deepEqual(await tree.paths(), [
    '.gitmodules',
    'lib.c',
    'vendor/.gitmodules',
    'vendor/deep/deep.c',
    'vendor/sub.c',
  ])
})

test('what asks for credentials is named, a submodule by its path', async (t) => {
  const { foreign, git, repository } = await setUp(t)
  const sub = await (await repository('foreign/sub')).commit({ 'sub.c': '' }, { ref: 'refs/heads/main' })
  const lib = await commitWithSubmodules(await repository('foreign/lib'), {
    '.gitmodules': gitmodules({ vendor: 'https://git.example.org/sub.git' }),
    vendor: { gitlink: sub },
  })
  foreign.secret = ['/sub.git']
  const url = 'https://git.example.org/lib.git'
  await assert.rejects(git.tree(url, lib, signal), {
    message: `${url}: submodule vendor: https://git.example.org/sub.git does not exist, or is private and asks for credentials`,
    hint: /credentials come in a later version/,
  })
  foreign.secret = ['/lib.git']
  await assert.rejects(git.resolve(url, 'main', signal), {
    message: `${url} does not exist, or is private and asks for credentials`,
    retryable: false,
  })
  foreign.secret = []
  for (const written of ['ssh://git@git.example.org/lib.git', 'git@git.example.org:lib.git']) {
    await assert.rejects(git.resolve(written, 'main', signal), /is reached by a key, and there are no credentials yet/)
  }
  await assert.rejects(git.resolve('https://me:secret@git.example.org/lib.git', 'main', signal), {
    message: 'https://git.example.org/lib.git holds a user name or password',
  })
  const ssh = await commitWithSubmodules(await repository('foreign/ssh'), {
    '.gitmodules': gitmodules({ vendor: 'git@git.example.org:sub.git' }),
    vendor: { gitlink: sub },
  })
  await assert.rejects(git.tree('https://git.example.org/ssh.git', ssh, signal), {
    name: 'GitDependencyFailed',
    message: /ssh\.git: submodule vendor: "git@git\.example\.org:sub\.git" is no URL/,
  })
})

test("a commit's own submodules on a foreign host", async (t) => {
  const { folder, foreign, gitUrl, blobs, caBundle, repository } = await setUp(t)
  const sub = await (await repository('foreign/sub')).commit({ 'sub.c': '' }, { ref: 'refs/heads/main' })
  const app = await commitWithSubmodules(await repository('git/owner/app'), {
    '.gitmodules': gitmodules({ vendor: 'https://git.example.org/sub.git' }),
    vendor: { gitlink: sub },
  })
  const database = openSqlite(join(folder, 'state'))
  t.after(() => database.close())
  const { id } = await database.write(({ db }) => repositoryByName(db, 'owner/app', 1))
  const source = testSource(t, folder, { database, blobs, gitUrl, caBundle })
  const asked = { repository: { id, name: 'owner/app' }, commit: app, callerDomain: id, submodules: true }
  const codeAt = () => source.codeAt(asked, { signal, report: () => {} })
  foreign.secret = ['/sub.git']
  await assert.rejects(codeAt(), {
    name: 'RemoteError',
    message: /^submodule vendor: https:\/\/git\.example\.org\/sub\.git does not exist, or is private/,
    hint: 'Submodules are fetched without credentials: public ones only.',
  })
  foreign.secret = []
  assert.deepEqual(await (await codeAt()).tree.paths(), ['.gitmodules', 'vendor/sub.c'])
})
