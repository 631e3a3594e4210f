import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { type CheckoutOptions, Checkouts } from '../../service/source/checkout.ts'
import { remoteUrl } from '../../service/source/remote.ts'
import { serveGit } from '../support/git-http.ts'
import { TestRepository, temporaryFolder } from '../support/repositories.ts'

const REPOSITORY = { id: 'rep_1', name: 'owner/name' }
const { signal } = new AbortController()

async function setUp(t: TestContext) {
  const folder = await temporaryFolder(t)
  const origin = await TestRepository.make(join(folder, 'git', 'owner', 'name.git'))
  const host = await serveGit(t, join(folder, 'git'))
  const checkouts = (options: Partial<CheckoutOptions> = {}) => {
    const made = new Checkouts({ folder: join(folder, 'checkouts'), gitUrl: host.url, ...options })
    t.after(() => made.close())
    return made
  }
  return { folder, origin, host, checkouts }
}

function bareFolder(folder: string): string {
  return join(folder, 'checkouts', REPOSITORY.id, 'commits.git')
}

async function fetched(checkouts: Checkouts, commit: string, repository = REPOSITORY): Promise<void> {
  await using _ = await checkouts.commit(repository, commit, signal)
}

test('exactly the commit is fetched, over HTTP and from a folder', async (t) => {
  const { folder, origin, checkouts } = await setUp(t)
  const first = await origin.commit({ a: '1' })
  const second = await origin.commit({ a: '2' }, { parents: [first], ref: 'refs/heads/main' })
  const bases = [undefined, pathToFileURL(join(folder, 'git'))]
  for (const [n, gitUrl] of bases.entries()) {
    const there = checkouts({ caBundle: '/etc/hosts', ...(gitUrl && { gitUrl }) })
    await using objects = await there.commit({ ...REPOSITORY, id: `rep_${n}` }, second, signal)
    const found: unknown[] = []
    for await (const object of objects.read([`${second}:a`, first])) found.push(object?.type)
    assert.deepEqual(found, ['blob', undefined])
  }
})

test('many ask at once, one fetches; a lock left by a killed process is no obstacle', async (t) => {
  const { folder, origin, host, checkouts } = await setUp(t)
  const first = await origin.commit({ a: '1' })
  const second = await origin.commit({ a: '2' })
  const there = checkouts()
  await fetched(there, first)
  await writeFile(join(bareFolder(folder), 'shallow.lock'), '')
  host.asked.length = 0
  await Promise.all(Array.from({ length: 8 }, () => fetched(there, second)))
  assert.equal(host.asked.filter((path) => path.includes('info/refs')).length, 1)
})

test('what an earlier process fetched needs no host, and what it left unfinished is fetched again', async (t) => {
  const { folder, origin, host, checkouts } = await setUp(t)
  const commit = await origin.commit({ a: '1' })
  await fetched(checkouts(), commit)
  host.fault = 503
  await fetched(checkouts(), commit)
  host.fault = undefined
  const bare = bareFolder(folder)
  const git = (args: string[]) => origin.git([`--git-dir=${bare}`, ...args])
  const tree = (await git(['rev-parse', `${commit}^{tree}`])).toString().trim()
  await rm(join(bare, 'objects', tree.slice(0, 2), tree.slice(2)))
  await fetched(checkouts(), commit)
  await git(['cat-file', '-e', `${commit}:a`])
})

/** Numbers of the processes of ours that wait: for a commit to fetch, or to be asked for an object. */
async function waiting(): Promise<{ fetch: number[]; read: number[] }> {
  const tasks = await readdir('/proc/self/task')
  const children = await Promise.all(tasks.map((task) => readFile(`/proc/self/task/${task}/children`, 'utf8')))
  const pids = children.join('').split(' ').filter(Boolean)
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')))
  const of = (what: RegExp) => pids.filter((_, at) => what.test(lines[at] ?? '')).map(Number)
  return { fetch: of(/^\/bin\/sh/), read: of(/cat-file/) }
}

async function oneWaits(): Promise<{ fetch: number; read: number }> {
  for (;;) {
    const { fetch, read } = await waiting()
    if (fetch[0] !== undefined && read[0] !== undefined) return { fetch: fetch[0], read: read[0] }
    await sleep(10)
  }
}

/** Kills one of them, and waits until we have heard of it. */
async function kill(pid: number): Promise<void> {
  process.kill(pid, 'SIGKILL')
  while (existsSync(`/proc/${pid}`)) await sleep(10)
}

test('a git waits for the next commit of a repository, and no longer than it is needed', async (t) => {
  const { origin, checkouts } = await setUp(t)
  const there = checkouts({ prepareAfter: 0 })
  const commits: string[] = []
  for (const a of ['1', '2', '3', '4']) commits.push(await origin.commit({ a }))
  const [first = '', second = '', third = '', fourth = ''] = commits
  await fetched(there, first)
  const { fetch } = await oneWaits()
  const found: unknown[] = []
  await using objects = await there.commit(REPOSITORY, second, signal)
  for await (const object of objects.read([`${second}:a`, first, third])) found.push(object?.type)
  assert.deepEqual(found, ['blob', 'commit', undefined])
  assert.ok(!(await waiting()).fetch.includes(fetch), 'it was used')
  await objects[Symbol.asyncDispose]()

  // What was killed meanwhile is of no use, and no obstacle.
  await kill((await oneWaits()).fetch)
  await fetched(there, third)
  await kill((await oneWaits()).read)
  await using last = await there.commit(REPOSITORY, fourth, signal)
  for await (const object of last.read([fourth])) assert.equal(object?.type, 'commit')
  await last[Symbol.asyncDispose]()
  await oneWaits()
  await there.close()
  assert.deepEqual(await waiting(), { fetch: [], read: [] })
})

test('what goes wrong is told apart', async (t) => {
  const { origin, host, checkouts } = await setUp(t)
  const commit = await origin.commit({ a: '1' })
  const ask = (options = {}, name = 'owner/name', id = commit) => fetched(checkouts(options), id, { id: 'rep_x', name })
  await assert.rejects(ask({}, 'owner/other'), { name: 'RemoteError', code: 'repository-not-found' })
  await assert.rejects(ask({}, 'owner/name', '1'.repeat(40)), { code: 'commit-not-found', message: /1{40}/ })
  host.fault = 401
  await assert.rejects(ask(), { code: 'needs-credentials', hint: /access/, retryable: false })
  host.fault = 503
  await assert.rejects(ask(), { code: 'unreachable', retryable: true })
  host.fault = 'hang'
  await assert.rejects(ask({ timeout: 300 }), { code: 'unreachable', message: /within 0.3 s/ })
  await assert.rejects(ask({ gitUrl: new URL('http://127.0.0.1:9') }), { code: 'unreachable' })
  host.fault = undefined
  await ask()
})

test('a fetch ends when it is no longer wanted', async (t) => {
  const { host, checkouts } = await setUp(t)
  host.fault = 'hang'
  const controller = new AbortController()
  const asked = checkouts().commit(REPOSITORY, '1'.repeat(40), controller.signal)
  const reason = new Error('not wanted')
  setTimeout(() => controller.abort(reason), 50)
  await assert.rejects(asked, reason)
})

test('clone URLs come from the base alone', () => {
  const name = 'o/n'
  assert.equal(remoteUrl(new URL('https://github.com'), name), 'https://github.com/o/n.git')
  assert.equal(remoteUrl(new URL('https://git.example.org/base/'), name), 'https://git.example.org/base/o/n.git')
  assert.equal(remoteUrl(new URL('file:///srv/git'), name), 'file:///srv/git/o/n')
  for (const base of ['http://git.example.org', 'ssh://git@github.com', 'ext://x', 'git://github.com']) {
    assert.throws(() => remoteUrl(new URL(base), name), /not allowed/, base)
  }
})

test('only the full name of a commit is taken', async (t) => {
  const { checkouts } = await setUp(t)
  for (const id of ['main', '--upload-pack=touch x', 'abcdef', 'A'.repeat(40)]) {
    await assert.rejects(checkouts().commit(REPOSITORY, id, signal), RangeError)
  }
})
