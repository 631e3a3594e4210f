import assert from 'node:assert/strict'
import { rm, symlink } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { testBuilder } from '../support/builder.ts'
import { type GitHost, serveGit } from '../support/git-http.ts'
import { Project } from '../support/project.ts'
import { temporaryFolder } from '../support/repositories.ts'
import { ServiceUnderTest } from '../support/service-under-test.ts'
import { uvLockWithGit } from '../support/uv-lock.ts'
import { WorkflowJob } from '../support/workflow-job.ts'

/** Code of repositories on a git host that is reached over HTTP; each test goes on from the last. */

const MEMORY = '320MiB'
const WORKFLOW = `
on: push
jobs:
  test:
    steps:
      - uses: meadow/run@v1
        with: { command: python main.py, path-to-source: src, submodules: true, memory: ${MEMORY}, preload: tool.core }
`
const MAIN = 'import os, tool.core, vendored.lib\nprint(os.getcwd(), tool.core.__file__, vendored.lib.NAME)\n'
const cleanups: (() => unknown)[] = []
const t = { after: (cleanup: () => unknown) => void cleanups.unshift(cleanup) }

let service: ServiceUnderTest
let app: Project
let job: WorkflowJob
let git: string
let host: GitHost
let tip: string
const inputs = { 'path-to-source': 'src', submodules: 'true', memory: MEMORY, preload: 'tool.core' }

/** A repository that the host answers for; `file:` would find it without the ending. */
async function project(name: string): Promise<Project> {
  const made = await Project.make(service.home, git, name)
  await symlink(made.repository.folder, `${made.repository.folder}.git`)
  return made
}

before(async () => {
  git = await temporaryFolder(t)
  host = await serveGit(t, git)
  service = await ServiceUnderTest.start({ MEADOW_GIT_URL: host.url.href.replace(/\/$/, '') })
  app = await project('octo/app')
})
after(async () => {
  await service?.close()
  for (const cleanup of cleanups) await cleanup()
  await rm(git, { recursive: true, force: true })
})

async function commit(requirements: string, lib: string): Promise<string> {
  const gitmodules = '[submodule "lib"]\n\tpath = src/vendored\n\turl = ../lib.git\n'
  const plain = await app.commit({
    '.github/workflows/test.yml': WORKFLOW,
    '.gitmodules': gitmodules,
    'requirements.txt': requirements,
    'src/main.py': MAIN,
    'src/tool/core.py': '',
  })
  const { repository } = app
  await repository.git(['read-tree', plain])
  await repository.git(['update-index', '--add', '--cacheinfo', `160000,${lib},src/vendored`])
  const options = { parents: [plain], ref: 'refs/heads/main' }
  return await repository.commitTree(await repository.git(['write-tree']), options)
}

test('a push is prebuilt with its submodules, and what waits has the shape that its step asks for', async () => {
  const lib = await (await project('octo/lib')).commit({ 'lib.py': 'NAME = "from the submodule"\n' })
  tip = await commit('idna==3.7\n', lib)
  await app.push(tip)
  const build = await app.built(
    ((await app.call('POST', '/v1/builds', { repository: app.name, commit: tip, submodules: true })) as { id: string })
      .id,
  )
  assert.equal(build.state, 'finished', build.message)
  await service.standbysOf([build.image ?? ''])
  job = await WorkflowJob.start(service.home, app)
  const { exitCode, log, outputs } = await job.step(tip, { command: 'python main.py', ...inputs })
  assert.equal(exitCode, 0, log.toString())
  assert.equal(outputs.cache, 'hit')
  assert.match(log.toString(), /^\/workspace\/src \/workspace\/src\/tool\/core\.py from the submodule/m)
  assert.doesNotMatch(log.toString(), /starts cold/)
})

test('a command elsewhere finds the source too', async () => {
  const { exitCode, log } = await job.step(tip, {
    command: 'python -c "import tool.core, os; print(os.getcwd(), tool.core.__name__)"',
    ...inputs,
    'working-directory': '.github',
  })
  assert.equal(exitCode, 0, log.toString())
  assert.match(log.toString(), /^\/workspace\/\.github tool\.core$/m)
})

test('the log says what was detected, what changed, and what came with it', async () => {
  const lib = await app.repository.git(['rev-parse', `${tip}:src/vendored`])
  tip = await commit('idna==3.10\nrich==14.0.0\n', lib)
  const { exitCode, log, summary } = await job.step(tip, { command: 'python main.py', ...inputs })
  assert.equal(exitCode, 0, log.toString())
  const text = log.toString()
  assert.match(text, /^environment: requirements\.txt \(requirements\.txt\), detected at the root$/m)
  const sentence =
    /idna 3\.7 -> 3\.10, added rich 14\.0\.0, because requirements\.txt changed; added markdown-it-py [\d.]+, added pygments [\d.]+, because rich asks for them; added mdurl [\d.]+, because markdown-it-py asks for it/
  assert.match(text, new RegExp(`^Cache partial: \\d of \\d packages had to be made: ${sentence.source}`, 'm'))
  assert.match(summary, new RegExp(sentence.source.replace('->', '-&gt;')))
  assert.match(summary, /<td>mdurl<\/td><td><\/td><td>[\d.]+<\/td><td>because markdown-it-py asks for it<\/td>/)
})

test('a branch, a tag and the default branch of another repository', async () => {
  const other = await project('octo/other')
  const files = (what: string) => ({ 'requirements.txt': '', 'what.txt': what })
  const tagged = await other.commit(files('tagged'))
  await other.repository.git(['tag', '-a', '-m', 'x', 'v1', tagged])
  await other.commit(files('newest'))
  for (const [ref, what] of [
    ['v1', 'tagged'],
    ['main', 'newest'],
    ['', 'newest'],
    [tagged, 'tagged'],
  ] as const) {
    const { exitCode, log } = await job.step(tip, { repository: other.name, ref, command: 'cat what.txt' })
    assert.equal(exitCode, 0, log.toString())
    assert.match(log.toString(), new RegExp(`^${what}$`, 'm'), ref)
  }
  const { exitCode, log } = await job.step(tip, { repository: other.name, ref: 'nope', command: 'true' })
  assert.equal(exitCode, 1)
  assert.match(log.toString(), /ref: octo\/other has no branch or tag "nope"/)
})

test('a freeze of another system: the package, its line, and the marker that excludes it', async () => {
  const other = await project('octo/mac')
  const tip = await other.commit({ 'requirements.txt': 'idna==3.7\npyobjc-core==10.3.1\n' })
  const build = await other.built(await other.build(tip))
  assert.equal(build.state, 'failed')
  assert.match(build.message ?? '', /^requirements\.txt:2: pyobjc-core: its build failed/)
  assert.match(build.hint ?? '', /wheels for macOS only.*: pyobjc-core==10\.3\.1 ; sys_platform == "darwin"$/)
})

test('a repository that a lock names and that asks for credentials: its package, its line, and the way out', async () => {
  const lib = await project('octo/private')
  const system = '[build-system]\nrequires = ["setuptools"]\n'
  const commit = await lib.commit({ 'pyproject.toml': `[project]\nname = "lib"\nversion = "1"\n${system}` })
  const url = `${host.url}octo/private.git`
  const vcs = `vcs = { type = "git", url = "${url}", commit-id = "${commit}" }`
  const pyproject = `[project]\nname = "wood"\nversion = "1"\nrequires-python = ">=3.9"\ndependencies = ["lib"]\n[tool.uv.sources]\nlib = { git = "${url}" }\n`
  await using tools = await testBuilder()
  const uvLock = await uvLockWithGit(tools, { 'pyproject.toml': pyproject })
  host.secret = ['/octo/private.git']
  for (const files of [
    { 'pylock.toml': `lock-version = "1.0"\ncreated-by = "test"\n[[packages]]\nname = "lib"\n${vcs}\n` },
    { 'uv.lock': uvLock, 'pyproject.toml': pyproject },
  ] as Record<string, string>[]) {
    const [lock = '', text = ''] = Object.entries(files)[0] ?? []
    const { state, message, hint } = await app.built(await app.build(await app.commit(files)))
    assert.equal(state, 'failed')
    const line = text.split('\n').indexOf('name = "lib"') + 1
    assert.equal(message, `${lock}:${line}: lib: ${url} does not exist, or is private and asks for credentials`)
    assert.match(hint ?? '', /until then ask for a release, or commit a wheel of it/)
  }
})
