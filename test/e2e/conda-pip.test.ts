import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { imageNames } from '../../machine/local-base.ts'
import { type CondaChannel, condaChannel } from '../support/conda-channel.ts'
import type { Project } from '../support/project.ts'
import { type TestFile, TestRepository } from '../support/repositories.ts'
import { ServiceUnderTest } from '../support/service-under-test.ts'
import { makeWheel } from '../support/wheels.ts'

/** The `pip:` section of an environment.yml, from a push to a run: all that a requirements file may say. */

let channel: CondaChannel
let service: ServiceUnderTest
let project: Project
before(async () => {
  channel = await condaChannel()
  service = await ServiceUnderTest.start({ MEADOW_STANDBYS: '0', MEADOW_CONDA_CHANNELS: `test=${channel.url}` })
  project = await service.project('octo/pip')
})
after(async () => {
  await service?.close()
  await channel?.[Symbol.asyncDispose]()
})

const environment = (lines: string[]) =>
  ['channels: [test]', 'dependencies:', '  - python=3.11', '  - greet=2.1', '  - pip:', ...lines.map(item)].join('\n')
const item = (line: string) => `    - ${line}`

const pyproject = (name: string, more = '') => `[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "${name}"
version = "1.0"
${more}
[project.scripts]
${name} = "${name}:main"
`
const code = (price: number) => `def main():\n    print("price", ${price})\n`
const wheel = (name: string) => makeWheel({ name, version: '1.0', files: { [`${name}.py`]: 'X = 1\n' } })

async function built(files: Record<string, TestFile>, interpreter = 'auto') {
  const commit = await project.commit(files)
  return { commit, build: await project.built(await project.build(commit, { interpreter })) }
}

async function ran(files: Record<string, TestFile>, command: string, interpreter = 'auto') {
  const { commit, build } = await built(files, interpreter)
  assert.equal(build.state, 'finished', `${build.message} ${build.hint}`)
  const { run, stdout, stderr, cache } = await project.ran(commit, { command, interpreter })
  assert.equal(run.outcome, 'ok', `${run.message} ${stderr}`)
  return { stdout: stdout.toString(), build, image: cache?.image }
}

test('projects, files, a repository, a URL, and files that are included', async () => {
  const folder = `${service.home.folder}/git/octo/tool`
  const tool = await TestRepository.make(folder)
  await tool.commit({ 'pyproject.toml': pyproject('tool'), 'tool.py': code(3) }, { ref: 'refs/tags/v1' })
  const files = {
    'environment.yml': environment([
      '-e .',
      '-e ./libs/sub',
      '-r more.txt',
      '-c limits.txt',
      '--find-links ./links',
      './wheels/local-1.0-py3-none-any.whl',
      'linked',
      `tool @ git+file://${folder}@v1`,
    ]),
    'more.txt': 'six\n',
    'limits.txt': 'six==1.16.0\n',
    'pyproject.toml': pyproject('shop', 'dependencies = ["greet>=2"]'),
    'src/shop/__init__.py': code(1),
    'libs/sub/pyproject.toml': pyproject('sub'),
    'libs/sub/sub.py': code(2),
    'wheels/local-1.0-py3-none-any.whl': wheel('local'),
    'links/linked-1.0-py3-none-any.whl': wheel('linked'),
  }
  const check = 'python -c "import shop, six, local, linked, greet; print(shop.__file__, six.__version__)"'
  const first = await ran(files, `shop; sub; tool; ${check}`)
  assert.equal(first.stdout, 'price 1\nprice 2\nprice 3\n/workspace/src/shop/__init__.py 1.16.0\n')
  assert.deepEqual(first.build.cache?.unpinned, ['linked', 'python'])

  const changed = await ran({ ...files, 'libs/sub/sub.py': code(9) }, 'sub')
  assert.deepEqual([changed.stdout, changed.image], ['price 9\n', first.image])

  const described = await ran(
    { ...files, 'libs/sub/pyproject.toml': pyproject('sub', 'dependencies = ["idna"]') },
    'sub',
  )
  assert.notEqual(described.image, first.image)
  assert.match(described.build.cache?.reason ?? '', /added idna/)
})

test('paths begin in the folder of the YAML, as conda has it', async () => {
  const files = {
    'pyproject.toml': pyproject('shop'),
    'src/shop/__init__.py': code(1),
    'tools/environment.yml': environment(['-e .', '-e ..']),
    'tools/pyproject.toml': pyproject('sub'),
    'tools/sub.py': code(5),
  }
  const { stdout } = await ran(files, 'sub; shop', 'tools/environment.yml')
  assert.equal(stdout, 'price 5\nprice 1\n')
})

test('a direct URL, whose hash becomes part of the lock', async () => {
  const { build } = await built({ 'environment.yml': environment(['idna==3.7']) })
  const lock = await project.text(`/v1/builds/${build.id}/lock`)
  const url = /https:\S*\/idna-3\.7-py3-none-any\.whl/.exec(lock)?.[0]
  assert.ok(url, lock)
  const { stdout } = await ran(
    { 'environment.yml': environment([`idna @ ${url}`]) },
    'python -c "import idna; print(idna.__version__)"',
  )
  assert.equal(stdout, '3.7\n')
})

const REFUSED: [what: string, line: string, message: RegExp, hint: RegExp][] = [
  [
    'a project that is not there',
    '-e ./nowhere',
    /^environment\.yml:6: pip: \.\/nowhere: there is no such file/,
    /Commit/,
  ],
  ['a release that there is not', 'idna==0.0.7', /^environment\.yml:6: pip: [\s\S]*idna==0\.0\.7/, /released/],
  [
    'what conda has in another version',
    'greet==9',
    /^environment\.yml:6: pip: [\s\S]*greet/,
    /What conda brings stays/,
  ],
  [
    'a project that conda brings',
    '-e ./greet',
    /^environment\.yml:6: pip: -e \.\/greet is greet, which conda brings already \(2\.1\)/,
    /Take greet, or what asks for it, out/,
  ],
  ['a wheel whose bytes are no wheel', './bad-1.0-py3-none-any.whl', /^environment\.yml:6: pip: /, /./],
]
for (const [what, line, message, hint] of REFUSED)
  test(`refused by its line: ${what}`, async () => {
    const { build } = await built({
      'environment.yml': environment([line]),
      'greet/pyproject.toml': pyproject('greet'),
      'greet/greet.py': code(1),
      'bad-1.0-py3-none-any.whl': 'no zip',
    })
    assert.equal(build.state, 'failed')
    assert.match(build.message ?? '', message)
    assert.match(build.hint ?? '', hint)
  })

test('what could not be resolved leaves no image behind', async () => {
  const before = new Set(await imageNames(`${service.home.host}/`))
  // It has no image yet whose Python could be asked, and nobody else has these packages of conda.
  const fresh = await service.project('octo/fresh')
  const text = environment(['idna==0.0.8']).replace('greet=2.1', 'greet=2.0')
  const commit = await fresh.commit({ 'environment.yml': text })
  const { state } = await fresh.built(await fresh.build(commit, { interpreter: 'auto' }))
  assert.equal(state, 'failed')
  assert.deepEqual(
    (await imageNames(`${service.home.host}/`)).filter((name) => !before.has(name)),
    [],
  )
})

test('a project whose build fails is named by its line', async () => {
  const { build } = await built({
    'environment.yml': environment(['idna==3.7', './sub']),
    'sub/pyproject.toml': pyproject('sub', '[tool.setuptools]\npackages = ["nowhere"]'),
  })
  assert.equal(build.state, 'failed')
  assert.match(build.message ?? '', /^environment\.yml:7: sub: its build failed with exit code \d+:[\s\S]*nowhere/)
})
