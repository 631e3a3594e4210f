import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { InterpreterRequest } from '../../common/contract.ts'
import { type CondaChannel, condaChannel } from '../support/conda-channel.ts'
import type { Project } from '../support/project.ts'
import type { TestFile } from '../support/repositories.ts'
import { ServiceUnderTest } from '../support/service-under-test.ts'

/** What `conda env export` writes, as it is, in each of its forms; and what else conda does that people count on. */

let channel: CondaChannel
let service: ServiceUnderTest
let project: Project
before(async () => {
  channel = await condaChannel()
  const channels = `test=${channel.url}, defaults=${channel.url}, conda-forge=${channel.url}`
  service = await ServiceUnderTest.start({ MEADOW_STANDBYS: '0', MEADOW_CONDA_CHANNELS: channels })
  project = await service.project('octo/exports')
})
after(async () => {
  await service?.close()
  await channel?.[Symbol.asyncDispose]()
})

async function build(files: Record<string, TestFile>, request: Partial<InterpreterRequest> = {}) {
  const commit = await project.commit(files)
  return { commit, build: await project.built(await project.build(commit, { interpreter: 'auto', ...request })) }
}

const ANACONDA = 'https://conda.anaconda.org'
const SAY = `import greet, importlib.metadata as m, sys
print(sys.version.split()[0], greet.VERSION, *sorted(each.name for each in m.distributions()))
`

/** What a run has: versions of Python and greet, and the names of all Python packages. */
async function said(environment: TestFile, request: Partial<InterpreterRequest> = {}) {
  const { commit, build: made } = await build({ 'environment.yml': environment, 'say.py': SAY }, request)
  assert.equal(made.state, 'finished', `${made.message} ${made.hint}`)
  const { stdout } = await project.ran(commit, { command: 'python say.py', interpreter: 'auto', ...request })
  return { text: stdout.toString().trim(), unpinned: made.cache?.unpinned }
}

const exported = (builds: boolean) => {
  const line = (name: string, version: string, build: string) => `  - ${name}=${version}${builds ? `=${build}` : ''}`
  return [
    'name: shop',
    'channels:',
    '  - test',
    '  - defaults',
    'dependencies:',
    line('greet', '2.0', 'pyh0_0'),
    line('pfxtool', '1.0', 'h0_1'),
    line('pip', '24.0', 'py_0'),
    line('pylibs', '12', '0'),
    line('python', '3.11.7', 'h1a2b3c4_0'),
    '  - pip:',
    '      - idna==3.7',
    '      - six==1.16.0',
    'variables:',
    '  SHOP: open',
    'prefix: /home/me/miniconda3/envs/shop',
    '',
  ].join('\n')
}

test('conda env export: exactly these builds, and what pip installed on top', async () => {
  const { text, unpinned } = await said(exported(true))
  assert.equal(text, '3.11.7 2.0 greet idna pip six')
  assert.deepEqual(unpinned, [])
})

test('conda env export --no-builds: exactly these versions', async () => {
  const { text, unpinned } = await said(exported(false))
  assert.equal(text, '3.11.7 2.0 greet idna pip six')
  assert.deepEqual(unpinned, [])
})

const HISTORY = `name: shop\r
channels:\r
  - defaults\r
dependencies:\r
  - python=3.11\r
  - greetplus\r
prefix: C:\\Users\\me\\miniconda3\\envs\\shop\r
`

test('conda env export --from-history, of Windows and written by PowerShell: what was asked for is solved here', async () => {
  const utf16 = Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(HISTORY, 'utf16le')])
  const { text, unpinned } = await said(utf16)
  assert.equal(text, '3.11.7 2.1 greet greetplus pip')
  assert.deepEqual(unpinned, ['greetplus', 'python'])
})

test('pip is there, though nobody named it, as conda has it with every Python', async () => {
  const { commit, build: made } = await build({
    'environment.yml': 'channels: [test]\ndependencies: [python, greet]\n',
  })
  assert.equal(made.state, 'finished', made.message)
  const { stdout } = await project.ran(commit, { command: 'python -m pip && command -v python', interpreter: 'auto' })
  assert.equal(stdout.toString(), 'pip\n/opt/env/bin/python\n')
})

test('packages of a named channel, as conda writes it with the platform, and of defaults', async () => {
  const { text } = await said(
    'channels: [test]\ndependencies: [python, test/noarch::greet==2.0=pyh0_0, defaults::leaf1]\n',
  )
  assert.equal(text, '3.11.7 2.0 greet leaf1 pip')
})

test('what stands for a channel stands for its address in a list, too', async () => {
  const paths = [
    'linux-64/python-3.11.7-h1a2b3c4_0.conda',
    'linux-64/pylibs-12-0.conda',
    'noarch/leaf5-1.0-py_0.tar.bz2',
  ]
  const lines = await channel.lines(paths)
  const list = ['@EXPLICIT', ...lines.map((line) => line.replace(channel.url, `${ANACONDA}/conda-forge`)), ''].join(
    '\n',
  )
  const { build: made } = await build({ 'conda-linux-64.lock': list })
  assert.equal(made.state, 'finished', made.message)
})

test("python-version asks conda for that Python; one that is not to be had, or not the lock's, is refused", async () => {
  const open = 'channels: [test]\ndependencies: [python, greet]\n'
  assert.match((await said(open, { 'python-version': '3.11' })).text, /^3\.11\.7 /)
  const other = await build({ 'environment.yml': open }, { 'python-version': '3.7' })
  assert.match(other.build.message ?? '', /^environment\.yml:2: [\s\S]*python 3\.7/)
  assert.match(other.build.hint ?? '', /The input python-version asks for Python 3\.7\.$/)
  const python = ['linux-64/python-3.11.7-h1a2b3c4_0.conda', 'linux-64/pylibs-12-0.conda']
  const list = ['@EXPLICIT', ...(await channel.lines(python)), ''].join('\n')
  const listed = await build({ 'conda-linux-64.lock': list }, { 'python-version': '3.12' })
  assert.equal(listed.build.message, 'conda-linux-64.lock: it has Python 3.11.7, and python-version asks for 3.12')
})

test('a lone environment-linux.yml is found, and taken where another one is named', async () => {
  const open = 'channels: [test]\ndependencies: [python, greet]\n'
  const lone = await build({ 'environment-linux.yml': open })
  assert.equal(lone.build.state, 'finished', lone.build.message)
  const mac = 'channels: [test]\ndependencies: [python, maconly]\n'
  const named = await build({ 'env.yaml': mac, 'env-linux-64.yml': open }, { interpreter: 'env.yaml' })
  assert.equal(named.build.state, 'finished', named.build.message)
  const notes = await project.eventsUntil(
    named.build.id,
    (event) => event.kind === 'state' && event.state === 'finished',
  )
  assert.ok(
    notes.some(({ event }) => event.kind === 'note' && /env-linux-64\.yml .*in place of env\.yaml/.test(event.text)),
  )
})
