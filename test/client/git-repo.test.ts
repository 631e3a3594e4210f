import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import { Checkout } from '../../client/deployment/checkout.ts'
import { type GitRepo, prepareGitRepo } from '../../client/deployment/git-repo.ts'
import { Http } from '../../client/http.ts'
import { Service } from '../../client/service.ts'
import type { Digest } from '../../service/blobs/blobs.ts'
import { saveBundle } from '../../service/database/code.ts'
import { verifyUpload } from '../../service/source/adopt.ts'
import { STATIC_TOKEN, startApi } from '../support/api.ts'
import { type TestFile, TestRepository, temporaryFolder } from '../support/repositories.ts'

const FILES = { 'requirements.txt': '-r more.txt\n', 'more.txt': 'six\n', 'src/x.py': 'x = 1\n' }

async function setUp(t: TestContext, files: Record<string, TestFile> = FILES) {
  const folder = await temporaryFolder(t)
  const origin = await TestRepository.make(join(folder, 'origin'))
  const commit = await origin.commit(files, { ref: 'refs/heads/main' })
  await promisify(execFile)('git', ['clone', '--quiet', '--depth=1', `file://${origin.folder}`, join(folder, 'work')])
  const api = await startApi(t)
  const service = new Service(new Http({ url: new URL(api.url) }))
  await service.signIn(STATIC_TOKEN, 'octo/garden')
  const said: string[] = []
  const temporary = join(folder, 'temporary')
  await mkdir(temporary)
  const checkout = new Checkout(join(folder, 'work'))
  const prepare = async (repo: Partial<GitRepo> = {}, options: { checkout?: Checkout } = { checkout }) =>
    await prepareGitRepo(
      service,
      { repository: 'octo/garden', commit, interpreter: 'auto', ...repo },
      { temporary, say: (line) => said.push(line), ...options },
    )
  return { api, commit, said, prepare, work: checkout.folder, temporary }
}

test('what the service lacks is sent, and it accepts it; then nothing is sent', async (t) => {
  const { api, commit, said, prepare, temporary } = await setUp(t)
  const { bundle, ...code } = await prepare({ pullRequest: 7 })
  assert.deepEqual(code, { repository: 'octo/garden', commit, 'pull-request': 7 })
  assert.ok(bundle)
  const digest = bundle.digest as Digest
  await verifyUpload(() => api.blobs.open(digest), commit, bundle)
  assert.match(said.join(), /Sent the code of .*did not have it/)
  assert.deepEqual(await readdir(temporary), [], 'nothing stays behind')

  const { id } = await api.database.state.selectFrom('repositories').selectAll().executeTakeFirstOrThrow()
  await api.database.write(({ db }) => saveBundle(db, { domain: id, commit_id: commit, digest, size: 1, created: 1 }))
  said.length = 0
  assert.deepEqual(await prepare(), { repository: 'octo/garden', commit })
  assert.deepEqual(said, [])
})

test('environment files that an earlier step made are sent with what they include', async (t) => {
  const { api, prepare, work, said } = await setUp(t)
  await mkdir(join(work, 'made'))
  await writeFile(join(work, 'made', 'env.txt'), '-r ../more.txt\n-c pins.txt\n')
  await writeFile(join(work, 'made', 'pins.txt'), 'six<2\n')
  await writeFile(join(work, 'more.txt'), 'changed, but the commit counts\n')
  const first = await prepare({ interpreter: 'made/env.txt' })
  const files = first['environment-files'] ?? {}
  assert.deepEqual(Object.keys(files).sort(), ['made/env.txt', 'made/pins.txt'])
  const pins = await buffer(await api.blobs.open(files['made/pins.txt'] as Digest))
  assert.equal(pins.toString(), 'six<2\n')
  said.length = 0
  assert.deepEqual((await prepare({ interpreter: 'made/env.txt' }))['environment-files'], files)
  assert.ok(!said.some((line) => line.includes('made/')), 'known blobs are not sent again')
})

test("a commit can't make the runner send its own files: links, git's own, what lies outside", async (t) => {
  const files = { 'x.py': '', dir: { link: '../secret' }, up: { link: '..' } }
  const { prepare, work, said } = await setUp(t, files)
  await mkdir(join(work, '../secret'))
  await writeFile(join(work, '../secret/token'), 'six\n')
  await mkdir(join(work, 'made/folder.txt'), { recursive: true })
  await symlink('../../secret/token', join(work, 'made/loose.txt'))
  await symlink('../nowhere', join(work, 'made/dangling.txt'))
  await promisify(execFile)('mkfifo', [join(work, 'made/fifo')])
  const refused = async (target: string, why: RegExp) => {
    await writeFile(join(work, 'made/env.txt'), `six\n-r ${target}\n`)
    await assert.rejects(prepare({ interpreter: 'made/env.txt' }), (error: Error & { hint: string }) => {
      assert.equal(error.name, 'EnvironmentFileError')
      assert.match(error.message, why)
      assert.match(error.hint, /as a regular file/)
      return true
    })
  }
  await refused('../dir/token', /^dir\/token: can't be sent from this machine: it is a link, or lies behind one$/)
  await refused('../up/secret/token', /^up\/secret\/token: .* it is a link, or lies behind one$/)
  await refused('loose.txt', /^made\/loose\.txt: .* it is a link, or lies behind one$/)
  await refused('dangling.txt', /^made\/dangling\.txt: .* it is a link, or lies behind one$/)
  await refused('../.git/config', /^\.git\/config: .* it is one of git's own files$/)
  await refused('folder.txt', /^made\/folder\.txt: .* it is not a regular file$/)
  await refused('fifo', /^made\/fifo: .* it is not a regular file$/)
  await writeFile(join(work, '../outside.txt'), 'six\n')
  await assert.rejects(
    prepare({ interpreter: '../outside.txt' }),
    /^EnvironmentFileError: \.\.\/outside\.txt: can't be sent from this machine: it is not in .*work$/,
  )
  assert.deepEqual(said, [], 'nothing was sent')
})

test('a requirements.txt that an earlier step made is detected', async (t) => {
  const { prepare, work } = await setUp(t, { 'x.py': '' })
  await assert.rejects(prepare(), { name: 'NotDetected', code: 'no-environment-file' })
  await writeFile(join(work, 'requirements.txt'), 'six\n')
  assert.deepEqual(Object.keys((await prepare())['environment-files'] ?? {}), ['requirements.txt'])
})

test('a lock that an earlier step made is sent, with its project where that was made too', async (t) => {
  const { prepare, work } = await setUp(t, { 'x.py': '' })
  await writeFile(join(work, 'uv.lock'), 'version = 1\n')
  await writeFile(join(work, 'pyproject.toml'), '[project]\nname = "x"\n')
  assert.deepEqual(Object.keys((await prepare())['environment-files'] ?? {}).sort(), ['pyproject.toml', 'uv.lock'])
})

test('an environment.yml that an earlier step made is sent with what its pip: section includes', async (t) => {
  const { prepare, work } = await setUp(t, { 'x.py': '' })
  const yaml = 'dependencies:\n  - python\n  - pip:\n    - -r more.txt\n    # - -r gone.txt\n    - -r nowhere.txt\n'
  await writeFile(join(work, 'environment.yaml'), yaml)
  await writeFile(join(work, 'more.txt'), '-c pins.txt\nsix\n')
  await writeFile(join(work, 'pins.txt'), 'six<2\n')
  const files = Object.keys((await prepare())['environment-files'] ?? {})
  assert.deepEqual(files.sort(), ['environment.yaml', 'more.txt', 'pins.txt'])
})

test('lists of conda that an earlier step made are sent for every platform that the service may be on', async (t) => {
  const { prepare, work } = await setUp(t, { 'x.py': '' })
  const sent = async (interpreter?: string) =>
    Object.keys((await prepare({ ...(interpreter && { interpreter }) }))['environment-files'] ?? {}).sort()
  await writeFile(join(work, 'conda-linux-aarch64.lock'), '@EXPLICIT\n')
  assert.deepEqual(await sent(), ['conda-linux-aarch64.lock'])
  await writeFile(join(work, 'conda-linux-64.lock'), '@EXPLICIT\n')
  const both = ['conda-linux-64.lock', 'conda-linux-aarch64.lock']
  assert.deepEqual(await sent(), both)
  assert.deepEqual(await sent('conda-linux-64.lock'), both)
  // On ARM nothing could be chosen, which is for a service there to say.
  await writeFile(join(work, 'environment-linux-aarch64.yml'), 'dependencies: [python]\n')
  await rm(join(work, 'conda-linux-64.lock'))
  await writeFile(join(work, 'uv.lock'), 'version = 1\n')
  assert.deepEqual(await sent(), ['uv.lock'])
})

test('mistakes are found before anything is sent', async (t) => {
  const { prepare, said } = await setUp(t, { 'requirements.txt': 'six\n-r nowhere.txt\n' })
  await assert.rejects(prepare(), { name: 'EnvironmentFileError', file: 'requirements.txt', line: 2 })
  await assert.rejects(prepare({ interpreter: 'setup.cfg' }), { code: 'unknown-environment-file' })
  assert.deepEqual(said, [])
})

test('without a checkout, or with one of something else, the service is on its own', async (t) => {
  const { prepare, commit } = await setUp(t)
  const alone = { repository: 'octo/garden', commit }
  assert.deepEqual(await prepare({}, {}), alone)
  assert.deepEqual(await prepare({}, { checkout: new Checkout(await temporaryFolder(t)) }), alone)
  const other = '1'.repeat(40)
  assert.deepEqual(await prepare({ commit: other }), { ...alone, commit: other })
})

test('code that is too large to be sent is left to the service', async (t) => {
  const { prepare, said } = await setUp(t, { 'requirements.txt': '', large: Buffer.alloc(2_000_000) })
  assert.equal((await prepare()).bundle, undefined)
  assert.match(said.join(), /was not sent .*1000000 bytes.*fetches it itself/)
})
