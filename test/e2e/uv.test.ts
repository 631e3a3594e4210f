import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { InterpreterRequest } from '../../common/contract.ts'
import { type TestBuilder, testBuilder } from '../support/builder.ts'
import type { Project } from '../support/project.ts'
import { ServiceUnderTest } from '../support/service-under-test.ts'
import { uvLock } from '../support/uv-lock.ts'

/** A workspace of uv from its push to a run: what is installed, what is reused, what is refused. */

let service: ServiceUnderTest
let project: Project
/** It makes the locks, as people do on their machines. */
let tools: TestBuilder
before(async () => {
  tools = await testBuilder()
  service = await ServiceUnderTest.start({ MEADOW_STANDBYS: '0' })
  project = await service.project('octo/wood')
})
after(async () => {
  await service?.close()
  await tools?.[Symbol.asyncDispose]()
})

const BUILD = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
const member = (name: string, dependencies: string[], more = '') =>
  `[project]\nname = "${name}"\nversion = "1.0"\nrequires-python = ">=3.9"\ndependencies = ${JSON.stringify(dependencies)}\n${more}${BUILD}`

/** The root project, which depends on one member, which depends on the other. */
const projects = (idna: string) => ({
  'pyproject.toml': member(
    'wood',
    [`idna==${idna}`, 'oak'],
    [
      '[project.optional-dependencies]',
      'fast = ["six==1.16.0"]',
      '[dependency-groups]',
      'dev = ["iniconfig==2.0.0"]',
      'lint = ["toolz==1.0.0"]',
      '[tool.uv.workspace]',
      'members = ["packages/*"]',
      '[tool.uv.sources]',
      'oak = { workspace = true }',
      '[tool.setuptools]',
      'packages = ["wood"]',
      '',
    ].join('\n'),
  ),
  'packages/oak/pyproject.toml': member('oak', ['elm'], '[tool.uv.sources]\nelm = { workspace = true }\n'),
  'packages/elm/pyproject.toml': member('elm', []),
})
const code = (tall: number) => ({
  'wood/__init__.py': 'import oak\ntall = oak.tall\n',
  'packages/oak/src/oak/__init__.py': 'from elm import tall\n',
  'packages/elm/src/elm/__init__.py': `tall = ${tall}\n`,
})
const REQUEST: Partial<InterpreterRequest> = { groups: ['lint'], extras: ['fast'] }
const SAY = [
  'import importlib.metadata as m, wood, elm, six, toolz, iniconfig',
  'print(m.version("idna"), m.version("wood"), wood.tall, elm.__file__)',
].join('; ')

async function ran(files: Record<string, string>, request = REQUEST) {
  const commit = await project.commit(files)
  const { run, stdout, stderr, cache } = await project.ran(commit, { args: ['python', '-c', SAY], ...request })
  assert.equal(run.outcome, 'ok', `${run.message} ${stderr}`)
  return { said: stdout.toString(), cache }
}

let files: Record<string, string>
test('members, a group and an extra are installed, those of the code editable', async () => {
  files = { ...projects('3.7'), 'uv.lock': await uvLock(tools, projects('3.7')), ...code(1) }
  const { said, cache } = await ran(files)
  assert.equal(said, '3.7 1.0 1 /workspace/packages/elm/src/elm/__init__.py\n')
  assert.deepEqual(
    cache?.packages.map(({ name, after }) => `${name} ${after}`),
    ['elm 1.0', 'idna 3.7', 'iniconfig 2.0.0', 'oak 1.0', 'six 1.16.0', 'toolz 1.0.0', 'wood 1.0'],
  )
})

test('a commit that changes only code is a hit', async () => {
  const { said, cache } = await ran({ ...files, ...code(2) })
  assert.match(said, /^3\.7 1\.0 2 /)
  assert.equal(cache?.verdict, 'hit')
})

test('other extras of a lock, and another file in its place: what that changes is said', async () => {
  const reason = async (code: Record<string, string>, request: Partial<InterpreterRequest>) => {
    const { cache, message } = await project.built(await project.build(await project.commit(code), request))
    return cache?.reason ?? message ?? ''
  }
  assert.match(
    await reason(files, { groups: ['lint'] }),
    /: removed six 1\.16\.0, because uv\.lock, or what is asked of it, changed$/,
  )
  const other = await reason({ 'requirements.txt': 'idna==3.8\n' }, {})
  assert.match(other, / idna 3\.7 -> 3\.8, .*because requirements\.txt took the place of uv\.lock/)
})

test('a member that is named is taken by the lock of its workspace, which is said', async () => {
  const interpreter = 'packages/oak/pyproject.toml'
  const say = 'import importlib.metadata as m; print(sorted(d.name for d in m.distributions()))'
  const { stdout, notes } = await project.ran(await project.commit(files), { interpreter, args: ['python', '-c', say] })
  assert.equal(stdout.toString(), "['elm', 'oak', 'pip']\n")
  const line = `environment: uv.lock (uv.lock), named by interpreter, for ${interpreter}, a project of its workspace`
  assert.ok(
    notes.some((note) => note.startsWith(line)),
    notes.join('\n'),
  )
})

test('one package changed: only it is new, and why is said', async () => {
  const changed = { ...files, ...projects('3.8'), 'uv.lock': await uvLock(tools, projects('3.8')) }
  const { said, cache } = await ran(changed)
  assert.match(said, /^3\.8 1\.0 1 /)
  assert.equal(cache?.verdict, 'partial')
  const idna = cache?.packages.find(({ name }) => name === 'idna')
  assert.deepEqual([idna?.before, idna?.after], ['3.7', '3.8'])
  assert.match(idna?.why ?? '', /because pyproject\.toml:5 asks for idna==3\.8/)
})

test('a lock that was not renewed is refused', async () => {
  const commit = await project.commit({ ...files, ...projects('3.9') })
  const { state, message, hint } = await project.built(await project.build(commit))
  assert.equal(state, 'failed')
  assert.match(
    message ?? '',
    /^pyproject\.toml:5: pyproject\.toml asks for idna==3\.9, and uv\.lock was made when it asked for idna==3\.7/,
  )
  assert.equal(hint, 'Run "uv lock" and commit uv.lock.')
})

test('a Python that no base has', async () => {
  const newer = Object.fromEntries(
    Object.entries(files).map(([path, text]) => [
      path,
      text.replace('requires-python = ">=3.9"', 'requires-python = ">=3.99"'),
    ]),
  )
  const { message, hint } = await project.built(await project.build(await project.commit(newer)))
  assert.match(message ?? '', /^uv\.lock:\d+: needs Python >=3\.99, and the base images have 3\.11/)
  assert.match(hint ?? '', /MEADOW_BASES/)
})

test('a hash that the file does not have', async () => {
  const lock = files['uv.lock'] ?? ''
  const [, right = ''] = /idna-3\.7-py3-none-any\.whl", hash = "sha256:([0-9a-f]{64})/.exec(lock) ?? []
  const wrong = right.replace(/^./, right.startsWith('0') ? '1' : '0')
  const { message } = await project.built(
    await project.build(await project.commit({ ...files, 'uv.lock': lock.replaceAll(right, wrong) })),
  )
  assert.match(message ?? '', new RegExp(`^uv\\.lock:\\d+: idna: .*has sha256 ${right}, not ${wrong}$`))
})

test('pyproject.toml alone: the project is installed too', async () => {
  const { 'uv.lock': _, ...unlocked } = files
  const { said } = await ran(unlocked, { groups: ['dev', 'lint'], extras: ['fast'] })
  assert.equal(said, '3.7 1.0 1 /workspace/packages/elm/src/elm/__init__.py\n')
})
