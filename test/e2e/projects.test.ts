import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Project } from '../support/project.ts'
import { TestRepository } from '../support/repositories.ts'
import { ServiceUnderTest } from '../support/service-under-test.ts'

/** Projects of the code itself, and packages from git. */

let service: ServiceUnderTest
let project: Project
before(async () => {
  service = await ServiceUnderTest.start({ MEADOW_STANDBYS: '0' })
  project = await service.project('octo/shop')
})
after(() => service?.close())

const PYPROJECT = `[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "shop"
version = "1.0"
[project.scripts]
shop = "shop:main"
`
const code = (price: number) => `def main():\n    print("price", ${price})\n`

async function ran(files: Record<string, string>, command: string) {
  const commit = await project.commit(files)
  await project.push(commit)
  const { state, message } = await project.built(await project.build(commit))
  assert.equal(state, 'finished', message)
  const { run, stdout, stderr, cache } = await project.ran(commit, { command })
  assert.equal(run.outcome, 'ok', `${run.message} ${stderr}`)
  return { stdout: stdout.toString(), cache, image: cache?.image }
}

const LOCK = 'lock-version = "1.0"\ncreated-by = "test"\n[[packages]]\nname = "shop"\n'

test('an editable project of a lock: its code is that of each commit, what describes it makes another image', async () => {
  const lock = `${LOCK}directory = { path = ".", editable = true }\n`
  const files = { 'pylock.toml': lock, 'pyproject.toml': PYPROJECT, 'src/shop/__init__.py': code(1) }
  const first = await ran(files, 'shop && python -c "import shop; print(shop.__file__)"')
  assert.equal(first.stdout, 'price 1\n/workspace/src/shop/__init__.py\n')
  const changed = await ran({ ...files, 'src/shop/__init__.py': code(2) }, 'shop')
  assert.deepEqual([changed.stdout, changed.image], ['price 2\n', first.image])
  const other = await ran({ ...files, 'pyproject.toml': PYPROJECT.replace('shop = ', 'buy = ') }, 'buy')
  assert.equal(other.stdout, 'price 1\n')
  assert.notEqual(other.image, first.image)
})

test('a project that is copied is built again when its files change', async () => {
  const lock = `${LOCK}directory = { path = "libs/shop" }\n`
  const files = { 'pylock.toml': lock, 'libs/shop/pyproject.toml': PYPROJECT, 'libs/shop/shop.py': code(1) }
  const first = await ran(files, 'shop')
  assert.equal(first.stdout, 'price 1\n')
  assert.equal((await ran({ ...files, 'README.md': 'x' }, 'shop')).image, first.image)
  assert.equal((await ran({ ...files, 'libs/shop/shop.py': code(2) }, 'shop')).stdout, 'price 2\n')
})

test('a package from git, at its commit', async () => {
  const folder = `${service.home.folder}/git/octo/lib`
  const lib = await TestRepository.make(folder)
  const commit = await lib.commit({ 'py/pyproject.toml': PYPROJECT, 'py/shop.py': code(7) })
  const lock = (id: string) =>
    `${LOCK}vcs = { type = "git", url = "file://${folder}", commit-id = "${id}", subdirectory = "py" }\n`
  assert.equal((await ran({ 'pylock.toml': lock(commit) }, 'shop')).stdout, 'price 7\n')
  const gone = await project.commit({ 'pylock.toml': lock('a'.repeat(40)) })
  const { state, message = '' } = await project.built(await project.build(gone))
  assert.equal(state, 'failed')
  assert.match(message, /has no commit aaaa/)
})
