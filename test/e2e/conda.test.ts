import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type CondaChannel, condaChannel } from '../support/conda-channel.ts'
import type { Project } from '../support/project.ts'
import { ServiceUnderTest } from '../support/service-under-test.ts'
import { WorkflowJob } from '../support/workflow-job.ts'

/** Conda environments, from a signed push to a run of the bundled Action; the channel is made by real tools. */

const PYTHON = 'linux-64/python-3.11.7-h1a2b3c4_0.conda'
const LIBRARIES = 'linux-64/pylibs-12-0.conda'
const TOOL = 'linux-64/pfxtool-1.0-h0_1.tar.bz2'
const CHECK = `import os, ssl, sqlite3, subprocess, sys
print("python", sys.version.split()[0], sys.prefix)
import greet
print("greet", greet.VERSION, greet.__cached__ and os.path.exists(greet.__spec__.cached))
for command in (["greet"], ["greet-script"], ["pfxtool"], ["pfxtool-sh"]):
    print(command[0], "->", subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
print({name: os.environ.get(name) for name in ("CONDA_PREFIX", "CONDA_SHLVL", "PFXTOOL_HOME", "PFXTOOL_VAR", "VIRTUAL_ENV")})
`
const ENVIRONMENT = `name: test
channels: [test, nodefaults]
dependencies:
  - python >=3.9
  - greetplus
variables:
  OWN: of the environment
`

const PIP_SECTION = `  - pip:
    - -r base.txt
    - idna==3.7
    - greet
variables:`

let channel: CondaChannel
let service: ServiceUnderTest
let project: Project
let job: WorkflowJob
before(async () => {
  channel = await condaChannel()
  service = await ServiceUnderTest.start({ MEADOW_CONDA_CHANNELS: `test=${channel.url}` })
  project = await service.project('octo/conda')
})
after(async () => {
  await service?.close()
  await channel?.[Symbol.asyncDispose]()
})

async function built(files: Record<string, string>, interpreter = 'auto') {
  const commit = await project.commit({ 'check.py': CHECK, ...files })
  await project.push(commit)
  const build = await project.built(await project.build(commit, { interpreter }))
  return { commit, build }
}

async function explicit(greet: string): Promise<string> {
  const lines = await channel.lines([PYTHON, LIBRARIES, TOOL, `noarch/greet-${greet}-pyh0_0.tar.bz2`])
  return ['# platform: linux-64', '@EXPLICIT', ...lines, ''].join('\n')
}

test('an explicit list becomes an image whose Python, programs and activation are those of its packages', async () => {
  const { commit, build } = await built({ 'conda-linux-64.lock': await explicit('2.0') })
  assert.equal(build.state, 'finished', build.message)
  job = await WorkflowJob.start(service.home, project)
  const { exitCode, log } = await job.step(commit, { command: 'python check.py' })
  assert.equal(exitCode, 0, log.toString())
  const text = log.toString()
  assert.match(text, /^python 3\.11\.7 \/opt\/env$/m)
  assert.match(text, /^greet 2\.0 True$/m)
  assert.match(text, /^greet -> greet 2\.0$/m)
  assert.match(text, /^greet-script -> greet 2\.0$/m)
  assert.match(text, /^pfxtool -> hello$/m)
  assert.match(text, /^pfxtool-sh -> hello$/m)
  assert.match(text, /'CONDA_PREFIX': '\/opt\/env', 'CONDA_SHLVL': '1'/)
  assert.match(text, /'PFXTOOL_HOME': '\/opt\/env\/share\/pfxtool', 'PFXTOOL_VAR': '1', 'VIRTUAL_ENV': None/)
})

test('one package changes: a delta, and nothing else is made', async () => {
  const { commit, build } = await built({ 'conda-linux-64.lock': await explicit('2.1') })
  assert.equal(build.state, 'finished', build.message)
  assert.equal(build.cache?.['packages-new'], 1)
  assert.match(build.cache?.reason ?? '', /greet 2\.0 -> 2\.1, because conda-linux-64\.lock changed/)
  const { exitCode, log } = await job.step(commit, { command: 'greet' })
  assert.equal(exitCode, 0, log.toString())
  assert.match(log.toString(), /^greet 2\.1$/m)
})

test('an environment.yml is solved, and says what it left open', async () => {
  const { commit, build } = await built({ 'environment.yml': ENVIRONMENT })
  assert.equal(build.state, 'finished', build.message)
  assert.deepEqual(build.cache?.unpinned, ['greetplus', 'python'])
  const { exitCode, log } = await job.step(commit, { command: 'python check.py && echo "own $OWN"' })
  assert.equal(exitCode, 0, log.toString())
  assert.match(log.toString(), /^greet -> greet 2\.1$/m)
  assert.match(log.toString(), /^own of the environment$/m)
})

test('pip installs on top of what conda brings, by its Python', async () => {
  const files = { 'environment.yml': `${ENVIRONMENT}`.replace('variables:', PIP_SECTION), 'base.txt': 'six==1.16.0\n' }
  const { commit, build } = await built(files)
  assert.equal(build.state, 'finished', build.message)
  const { exitCode, log } = await job.step(commit, {
    command: 'python -c "import idna, six, greet; print(idna.__cached__, six.__version__)"',
  })
  assert.equal(exitCode, 0, log.toString())
  assert.match(
    log.toString(),
    /^\/opt\/env\/lib\/python3\.11\/site-packages\/idna\/__pycache__\/\S+\.cpython-311\.pyc 1\.16\.0$/m,
  )
  const names = build.cache?.packages.map(({ name }) => name)
  assert.deepEqual(names, ['idna', 'six'])
})
