import assert from 'node:assert/strict'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { runCommand } from '../../machine/command.ts'
import { type CondaChannel, condaChannel } from '../support/conda-channel.ts'
import { condaInstalled } from '../support/conda-tools.ts'
import { ServiceUnderTest } from '../support/service-under-test.ts'
import { WorkflowJob } from '../support/workflow-job.ts'

/** A conda environment of the runner, made again for mirrored code by the bundled Action. */

let channel: CondaChannel
let service: ServiceUnderTest
let job: WorkflowJob
/** An environment that is installed on this machine. */
let prefix: string
const NONE = '0'.repeat(40)
const TIMEOUT = 120_000

before(async () => {
  channel = await condaChannel()
  service = await ServiceUnderTest.start({ MEADOW_STANDBYS: '0', MEADOW_CONDA_CHANNELS: `test=${channel.url}` })
  const project = await service.project('octo/local')
  await project.commit({ 'README.md': 'x\n' })
  job = await WorkflowJob.start(service.home, project)
  prefix = join(service.home.folder, 'envs', 'science')
  await condaInstalled(prefix, channel.url, 'python=3.11', 'greet=2.0', 'pfxtool')
})
after(async () => {
  await service?.close()
  await channel?.[Symbol.asyncDispose]()
})

const mirror = async (inputs: Record<string, string>, env: Record<string, string>) => {
  const result = await job.step(NONE, { deployment: 'mirror_local', ...inputs }, env)
  return { ...result, text: result.log.toString() }
}
const active = () => ({ CONDA_PREFIX: prefix, PATH: `${prefix}/bin:${process.env.PATH}` })

test('the active conda environment: the same builds, and its activation', async () => {
  const command = 'python -c "import greet, sys; print(sys.prefix, greet.VERSION)" && pfxtool && echo "$PFXTOOL_HOME"'
  const { exitCode, text } = await mirror({ command }, active())
  assert.equal(exitCode, 0, text)
  assert.match(text, /^Environment: what the conda environment .*science has/m)
  assert.match(text, /^\/opt\/env 2\.0$/m)
  assert.match(text, /^hello\n\/opt\/env\/share\/pfxtool$/m)
})

test('what pip installed in it comes along: a release, and the project itself, editable', async () => {
  const project =
    '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n[project]\nname = "shop"\nversion = "3"\n'
  await mkdir(join(job.workspace, 'src/shop'), { recursive: true })
  await writeFile(join(job.workspace, 'pyproject.toml'), project)
  await writeFile(join(job.workspace, 'src/shop/__init__.py'), 'import six\nWHERE = __file__\n')
  const pip = ['-m', 'pip', '--python', `${prefix}/bin/python`, 'install', '-q', 'six==1.16.0', '-e', job.workspace]
  await runCommand('python3', pip, { timeout: TIMEOUT })
  const command =
    'python -c "import shop, six, greet, importlib.metadata as m; print(shop.WHERE, six.__version__, greet.VERSION, m.version(\'shop\'))"'
  const { exitCode, text } = await mirror({ command, interpreter: `local-conda:${prefix}` }, {})
  assert.equal(exitCode, 0, text)
  assert.match(text, /^\/workspace\/src\/shop\/__init__\.py 1\.16\.0 2\.0 3$/m)
})

test('packages of two channels, which both have one of them: each from where it came from, without solving', async () => {
  const note = join(prefix, 'conda-meta/greet-2.0-pyh0_0.json')
  const text = await readFile(note, 'utf8')
  const { url } = JSON.parse(text) as { url: string }
  const archive = 'second/noarch/greet-2.0-pyh0_0.tar.bz2'
  channel.replace.set(archive, { status: 200, body: await (await fetch(url)).bytes() })
  await writeFile(note, text.replaceAll(url, url.replace('/channel/', '/second/')))
  channel.asked.length = 0
  const command = 'python -c "import greet, six; print(greet.VERSION, six.__version__)"'
  const { exitCode, text: said } = await mirror({ command, interpreter: `local-conda:${prefix}` }, {})
  assert.equal(exitCode, 0, said)
  assert.match(said, /^2\.0 1\.16\.0$/m)
  assert.deepEqual(channel.asked, [archive])
})
