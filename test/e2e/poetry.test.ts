import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type TestBuilder, testBuilder } from '../support/builder.ts'
import { poetryLock, poetryProject } from '../support/poetry.ts'
import type { Project } from '../support/project.ts'
import { TestRepository } from '../support/repositories.ts'
import { ServiceUnderTest } from '../support/service-under-test.ts'

/** A project of poetry with everything that one may have, from its push to a run; each test goes on from the last. */

let service: ServiceUnderTest
let builder: TestBuilder
let project: Project
let git: string
before(async () => {
  builder = await testBuilder()
  service = await ServiceUnderTest.start({ MEADOW_STANDBYS: '0' })
  project = await service.project('octo/shop')
  git = `${service.home.folder}/git/octo/rates`
  await (await TestRepository.make(git)).commit(member('rates', 'EURO = 7'), { ref: 'refs/heads/main' })
})
after(async () => {
  await service?.close()
  await builder?.[Symbol.asyncDispose]()
})

const BUILD = '[build-system]\nrequires = ["poetry-core>=1.0.0"]\nbuild-backend = "poetry.core.masonry.api"\n'

/** A package of its own. */
function member(name: string, code: string, folder = ''): Record<string, string> {
  const table = `[tool.poetry]\nname = "${name}"\nversion = "1.2.0"\ndescription = ""\nauthors = ["A <a@example.org>"]\n`
  const python = '[tool.poetry.dependencies]\npython = ">=3.8"\n'
  return { [`${folder}pyproject.toml`]: table + python + BUILD, [`${folder}${name}/__init__.py`]: `${code}\n` }
}

const pyproject = (idna: string) =>
  [
    poetryProject([
      `idna = "${idna}"`,
      'tools = { path = "libs/tools", develop = true }',
      'copied = { path = "libs/copied" }',
      `rates = { git = "file://${git}", branch = "main" }`,
    ]),
    '[tool.poetry.scripts]\nshop = "shop:main"\n',
    BUILD,
  ].join('\n')

const SHOP = `import copied, idna, iniconfig, packaging, rates, six, tools
def main():
    print(idna.__version__, six.__version__, packaging.__version__, rates.EURO, tools.NAME, copied.NAME)
    print(tools.__file__, copied.__file__, __file__)
`

async function filesOf(idna: string): Promise<Record<string, string>> {
  const files = {
    'pyproject.toml': pyproject(idna),
    'shop/__init__.py': SHOP,
    ...member('tools', 'NAME = "tools"', 'libs/tools/'),
    ...member('copied', 'NAME = "copied"', 'libs/copied/'),
  }
  return { ...files, 'poetry.lock': await poetryLock(builder.context, '2.5', files, { git }) }
}

/** The first build makes the image with poetry in it too. */
const MAKING_MS = 300_000
const OPTIONS = { groups: ['docs'], extras: ['versions'] }

/** Not pushed: what the prebuild of a push had made by then would not be counted here. */
async function ran(files: Record<string, string>) {
  const commit = await project.commit(files)
  const { state, message, hint, cache } = await project.built(await project.build(commit, OPTIONS), MAKING_MS)
  assert.equal(state, 'finished', `${message} ${hint}`)
  const { run, stdout, stderr } = await project.ran(commit, { command: 'shop', ...OPTIONS })
  assert.equal(run.outcome, 'ok', `${run.message} ${stderr}`)
  return { lines: stdout.toString().trim().split('\n'), cache, run }
}

let files: Record<string, string>
let image: string | undefined

test('a group, an extra, path and git dependencies, and the project itself', async () => {
  files = await filesOf('3.6')
  const { lines, cache } = await ran(files)
  assert.equal(lines[0], '3.6 1.16.0 24.1 7 tools copied')
  assert.match(
    lines[1] ?? '',
    /^\/workspace\/libs\/tools\/tools\/__init__\.py \/opt\/env\/\S+\/copied\/__init__\.py \/workspace\/shop\/__init__\.py$/,
  )
  assert.equal(cache?.verdict, 'partial')
  image = cache?.image
})

test('a commit that changes only code is a hit', async () => {
  const changed = { ...files, 'libs/tools/tools/__init__.py': 'NAME = "better tools"\n' }
  const { lines, run } = await ran(changed)
  assert.equal(lines[0], '3.6 1.16.0 24.1 7 better tools copied')
  assert.deepEqual([run.cache, run.image], ['hit', image])
})

test('one package changed: that and what pyproject says of the project are made, and it is said why', async () => {
  const { lines, cache } = await ran(await filesOf('3.7'))
  assert.equal(lines[0], '3.7 1.16.0 24.1 7 tools copied')
  assert.equal(cache?.['packages-new'], 2)
  assert.deepEqual(
    cache?.packages.find(({ name }) => name === 'idna'),
    {
      name: 'idna',
      before: '3.6',
      after: '3.7',
      why: 'because pyproject.toml:9 asks for idna 3.7',
    },
  )
})

test('a file that is not the one that was locked', async () => {
  const { 'poetry.lock': lock = '', ...rest } = files
  const damaged = { ...rest, 'poetry.lock': lock.replace('sha256:c05567', 'sha256:d05567') }
  const commit = await project.commit(damaged)
  const { state, message } = await project.built(await project.build(commit, OPTIONS))
  assert.equal(state, 'failed')
  assert.match(message ?? '', /^poetry\.lock:\d+: idna: idna-3\.6-py3-none-any\.whl has sha256 c05567/)
})
