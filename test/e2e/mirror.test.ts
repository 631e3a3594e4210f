import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { ServiceUnderTest } from '../support/service-under-test.ts'
import { WorkflowJob } from '../support/workflow-job.ts'

/** The bundled Action, mirroring what is on its runner, against the service. */

let service: ServiceUnderTest
let job: WorkflowJob
let library: string
/** Not a commit of anything: none is needed. */
const NONE = '0'.repeat(40)

before(async () => {
  service = await ServiceUnderTest.start()
  const project = await service.project('octo/mirror')
  await project.commit({ 'README.md': 'x\n' })
  job = await WorkflowJob.start(service.home, project)
  library = join(service.home.folder, 'library')
  await mkdir(join(job.workspace, 'shop'), { recursive: true })
  await mkdir(library)
  await writeFile(join(job.workspace, 'requirements.txt'), 'six==1.16.0\n')
  await writeFile(join(job.workspace, '.gitignore'), 'ignored.txt\n')
  await writeFile(join(job.workspace, 'ignored.txt'), 'not for anybody')
  await writeFile(join(job.workspace, 'shop/report.py'), 'import prices, six\ndef total(n): return n * prices.PRICE\n')
  await writeFile(join(library, 'prices.py'), 'PRICE = 21\n')
  await symlink(service.home.folder, join(job.workspace, 'out'))
})
after(() => service?.close())

const mirror = async (inputs: Record<string, string>, env: Record<string, string> = {}) => {
  const result = await job.step(NONE, { deployment: 'mirror_local', ...inputs }, { PYTHONPATH: library, ...env })
  return { ...result, text: result.log.toString() }
}

test('a function finds both roots, in the environment that the project asks for', async () => {
  const { exitCode, outputs, text } = await mirror({ function: 'shop.report:total', 'function-args': '[2]' })
  assert.equal(exitCode, 0, text)
  assert.equal(outputs.result, '42')
  assert.match(text, /Environment: requirements\.txt, found in .*; no environment is active/)
  assert.match(text, /out is left out: it is a link that leads out/)
  assert.match(text, /^Sent \d+ pieces/m)
})

test('a command does too, and nothing is sent a second time', async () => {
  const command = 'pwd; ls -a; python -c "import prices, sys; print(prices.__file__); print(sys.path[:3])"'
  const first = await mirror({ command })
  assert.equal(first.exitCode, 0, first.text)
  assert.match(first.text, /Nothing to upload/)
  assert.match(first.text, /^\/workspace$/m)
  assert.match(first.text, /^\/workspace\.1\/prices\.py$/m)
  assert.match(first.text, /\['', '\/workspace', '\/workspace\.1'\]/)
  assert.doesNotMatch(first.text, /^(ignored\.txt|out|\.git)$/m)
  const again = await mirror({ command })
  assert.deepEqual([again.exitCode, again.outputs.cache], [0, 'hit'])
  const [row] = service.ask<{ domain: string; commit_id: string }>(
    'select domain, commit_id from runs where id = ?',
    again.outputs['run-id'] ?? '',
  )
  assert.match(row?.domain ?? '', /^rep_[0-9a-f-]+$/)
  assert.match(row?.commit_id ?? '', /^sha256:/)
})

test('changed code runs in the same environment, and only the change is sent', async () => {
  await writeFile(join(job.workspace, 'shop/report.py'), 'import prices\ndef total(n): return n + prices.PRICE\n')
  const { exitCode, outputs, text } = await mirror({ function: 'shop.report:total', 'function-args': '[2]' })
  assert.equal(exitCode, 0, text)
  assert.deepEqual([outputs.result, outputs.cache], ['23', 'hit'])
  assert.match(text, /^Sent [1-4] pieces \(\d\.\d kB\)/m)
})

test('the active virtual environment is made again, with a package that came from the disk', async () => {
  const venv = join(service.home.folder, 'venv')
  await promisify(execFile)('python3', ['-m', 'venv', '--without-pip', venv])
  const [version] = await readdir(join(venv, 'lib'))
  const site = join(venv, 'lib', version ?? '', 'site-packages')
  const install = async (name: string, version: string, files: Record<string, string>) => {
    const info = `${name}-${version}.dist-info`
    await mkdir(join(site, info), { recursive: true })
    const all = { ...files, [`${info}/METADATA`]: `Metadata-Version: 2.1\nName: ${name}\nVersion: ${version}\n` }
    for (const [path, content] of Object.entries(all)) await writeFile(join(site, path), content)
    const paths = Object.keys(all).map((path) => `${path},,\n`)
    await writeFile(join(site, info, 'RECORD'), `${paths.join('')}${info}/RECORD,,\n`)
  }
  await install('six', '1.15.0', { 'six.py': '' })
  await install('mine', '3', {
    'mine.py': 'WHERE = __file__\ndef main(): print("its program")\n',
    'mine-3.dist-info/entry_points.txt': '[console_scripts]\nmine = mine:main\n',
  })
  const url = JSON.stringify({ url: `file://${library}`, dir_info: {} })
  await writeFile(join(site, 'mine-3.dist-info', 'direct_url.json'), url)
  const command =
    'python -c "import six, mine, importlib.metadata as m; print(six.__version__, mine.WHERE, m.version(\'mine\'))"; mine'
  const { exitCode, text } = await mirror({ command }, { VIRTUAL_ENV: venv })
  assert.equal(exitCode, 0, text)
  assert.match(text, /Environment: what the active virtual environment .*venv has/)
  assert.match(text, /^1\.15\.0 \/workspace\.2\/mine\.py 3$/m)
  assert.match(text, /^its program$/m)
})

test('a project whose version comes from git has one that stays, and so does its environment', async () => {
  const tool = join(job.workspace, 'scm')
  await mkdir(tool)
  await writeFile(join(job.workspace, 'scm.txt'), '-e ./scm\n')
  await writeFile(
    join(tool, 'pyproject.toml'),
    '[build-system]\nrequires = ["setuptools", "setuptools-scm"]\nbuild-backend = "setuptools.build_meta"\n[project]\nname = "tool"\ndynamic = ["version"]\n[tool.setuptools_scm]\nroot = ".."\n',
  )
  const command = 'python -c "import tool, importlib.metadata as m; print(tool.PRICE, m.version(\'tool\'))"'
  for (const [price, cache] of [
    [1, 'partial'],
    [2, 'hit'],
  ] as const) {
    await writeFile(join(tool, 'tool.py'), `PRICE = ${price}\n`)
    const { exitCode, outputs, text } = await mirror({ interpreter: 'scm.txt', command })
    assert.equal(exitCode, 0, text)
    assert.match(text, new RegExp(`^${price} 0\\.0\\.0\\+mirrored$`, 'm'))
    assert.equal(outputs.cache, cache)
  }
})

test('what has no meaning together is said before anything is done', async () => {
  const { exitCode, text } = await mirror({ command: 'true', ref: 'main' })
  assert.equal(exitCode, 1)
  assert.match(text, /ref: has a meaning only with git_repo/)
  const other = await job.step(NONE, { command: 'true', interpreter: 'local' })
  assert.match(other.log.toString(), /an interpreter of this machine goes only with "deployment: mirror_local"/)
})
