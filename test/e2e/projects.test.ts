import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Project } from '../support/project.ts'
import { type TestFile, TestRepository } from '../support/repositories.ts'
import { ServiceUnderTest } from '../support/service-under-test.ts'
import { commitWithSubmodules, gitmodules } from '../support/submodules.ts'
import { makeWheel } from '../support/wheels.ts'

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

async function ran(files: Record<string, TestFile>, command: string) {
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

test('an editable project imports the version that its build wrote into the code', async () => {
  const scm = '[tool.setuptools_scm]\nversion_file = "src/shop/_version.py"\n'
  const described = PYPROJECT.replace('version = "1.0"', 'dynamic = ["version"]').replace(
    '["setuptools"]',
    '["setuptools", "setuptools-scm"]',
  )
  const files = {
    'pylock.toml': `${LOCK}directory = { path = ".", editable = true }\n`,
    'pyproject.toml': described + scm,
    'src/shop/__init__.py': 'from ._version import version\ndef main():\n    print(version)\n',
  }
  const first = await ran(files, 'shop')
  assert.match(first.stdout, /^0\.0\.0\+g[0-9a-f]{12}\n$/)
  const changed = await ran({ ...files, 'src/shop/other.py': '' }, 'shop')
  assert.deepEqual([changed.stdout, changed.image], [first.stdout, first.image])
})

test('an editable project that compiles is a copy, which is said, and is made again with each change of it', async () => {
  const backend = `import os, zipfile
def wheel(folder, files):
    name = "shop-1.0-py3-none-any.whl"
    info = {"METADATA": "Metadata-Version: 2.1\\nName: shop\\nVersion: 1.0\\n", "WHEEL": "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"}
    files = {**files, **{"shop-1.0.dist-info/" + key: text for key, text in info.items()}}
    import base64, hashlib
    row = lambda path, text: f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip('=')},{len(text)}"
    record = "shop-1.0.dist-info/RECORD"
    files[record] = "\\n".join([*(row(*one) for one in files.items()), record + ",,"]) + "\\n"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as made:
        for path, text in files.items():
            made.writestr(path, text)
    return name
def build_wheel(folder, settings=None, metadata=None):
    return wheel(folder, {"shop.py": open("shop.py").read()})
def build_editable(folder, settings=None, metadata=None):
    open("fast.abi3.so", "w")
    return wheel(folder, {"shop.pth": os.getcwd()})
`
  const files = {
    'pylock.toml': `${LOCK}directory = { path = "libs/shop", editable = true }\n`,
    'libs/shop/pyproject.toml': '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
    'libs/shop/backend.py': backend,
    'libs/shop/shop.py': code(1),
  }
  const command = 'python -c "import shop; shop.main(); print(shop.__file__)"'
  const commit = await project.commit(files)
  const { stdout, notes } = await project.ran(commit, { command })
  assert.match(stdout.toString(), /^price 1\n\/opt\/env\/.*\/site-packages\/shop\.py\n$/)
  const note =
    'shop is a copy, made again whenever a file of its folder changes: its editable build writes libs/shop/fast.abi3.so'
  assert.ok(
    notes.some((each) => each.startsWith(note)),
    notes.join('\n'),
  )
  assert.match((await ran({ ...files, 'libs/shop/shop.py': code(2) }, command)).stdout, /^price 2\n/)
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
  assert.match(message, /^pylock\.toml:\d+: shop: file:\S+ has no commit aaaa/)
})

test('-e . of requirements.txt: a push of code alone is a hit, a new description is built', async () => {
  const files = {
    'requirements.txt': '-e .\nidna==3.7\n',
    'pyproject.toml': PYPROJECT,
    'src/shop/__init__.py': code(1),
  }
  const first = await ran(files, 'shop')
  assert.equal(first.stdout, 'price 1\n')
  const changed = await ran({ ...files, 'src/shop/__init__.py': code(2) }, 'shop')
  assert.deepEqual([changed.stdout, changed.image], ['price 2\n', first.image])
  const more = PYPROJECT.replace('version = "1.0"', 'version = "1.1"\ndependencies = ["six==1.16.0"]')
  const other = await ran({ ...files, 'pyproject.toml': more }, 'shop && python -c "import six, idna"')
  assert.notEqual(other.image, first.image)
  assert.match(other.cache?.packages.map(({ name, after }) => `${name} ${after}`).join() ?? '', /shop 1\.1/)
})

test('-e . of a setup.py: packages that are added and requirements that it reads make another image', async () => {
  const setup = `import os
from setuptools import find_packages, setup
here = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(here, "requirements", "base.txt")) as file:
    setup(name="shop", version="1.0", packages=find_packages(), install_requires=file.read().split())
`
  const files = {
    'requirements.txt': '-e .\n',
    'setup.py': setup,
    'requirements/base.txt': 'idna==3.7\n',
    'shop/__init__.py': code(1),
  }
  const imports = (names: string) => `cd / && python -c "import ${names}"`
  const first = await ran(files, imports('shop, idna'))
  const changed = await ran({ ...files, 'shop/more.py': '' }, imports('shop.more'))
  assert.equal(changed.image, first.image)
  const more = { ...files, 'requirements/base.txt': 'idna==3.7\nsix==1.16.0\n', 'shopconf/__init__.py': '' }
  await ran(more, imports('shop, idna, six, shopconf'))
})

test('a project, a wheel and a repository that requirements.txt names, all by links of the commit', async () => {
  const folder = `${service.home.folder}/git/octo/tool`
  const tool = await TestRepository.make(folder)
  const named = (name: string) => PYPROJECT.replaceAll('shop', name)
  await tool.commit({ 'pyproject.toml': named('tool'), 'tool.py': code(3) }, { ref: 'refs/heads/main' })
  const files = {
    'requirements/prod.txt': `./libs/shop\ntool @ git+file://${folder}@main\nwheels/local-1.0-py3-none-any.whl\n`,
    'requirements.txt': { link: 'requirements/prod.txt' },
    'packages/shop.toml': PYPROJECT,
    'packages/shop/pyproject.toml': { link: '../shop.toml' },
    'packages/shop/shop.py': code(4),
    libs: { link: 'packages' },
    'built/local.whl': makeWheel({ name: 'local', version: '1.0', files: { 'local.py': 'X = 1\n' } }),
    'wheels/local-1.0-py3-none-any.whl': { link: '../built/local.whl' },
  }
  const { stdout } = await ran(files, 'tool && shop && python -c "import local; print(local.X)"')
  assert.equal(stdout, 'price 3\nprice 4\n1\n')
})

test('a pyproject.toml alone: a repository with a submodule, a wheel of the code, and the project itself', async () => {
  const folder = `${service.home.folder}/git/octo`
  const sub = await (await TestRepository.make(`${folder}/part`)).commit(
    { 'part.py': 'PART = 5\n' },
    { ref: 'refs/heads/main' },
  )
  await commitWithSubmodules(await TestRepository.make(`${folder}/whole`), {
    'pyproject.toml': `${PYPROJECT.replaceAll('shop', 'whole')}[tool.setuptools]\npy-modules = ["part"]\npackage-dir = { "" = "src" }\n`,
    '.gitmodules': gitmodules({ src: '../part' }),
    // Only the submodule has the package's code.
    src: { gitlink: sub },
  })
  const sources = [
    '[tool.uv.sources]',
    `whole = { git = "file://${folder}/whole", branch = "main" }`,
    'local = { path = "wheels/local-1.0-py3-none-any.whl" }\n',
  ].join('\n')
  const files = {
    'pyproject.toml': `${PYPROJECT.replace('version = "1.0"', 'version = "1.0"\ndependencies = ["whole", "local"]')}${sources}`,
    'src/shop/__init__.py': code(8),
    'wheels/local-1.0-py3-none-any.whl': makeWheel({ name: 'local', version: '1.0', files: { 'local.py': 'X = 6\n' } }),
  }
  const { stdout } = await ran(files, 'shop && python -c "import part, local; print(part.PART, local.X)"')
  assert.equal(stdout, 'price 8\n5 6\n')
})

test('a project whose build fails is named by its line, with the end of its log', async () => {
  const commit = await project.commit({
    'requirements.txt': 'idna==3.7\n./libs/shop\n',
    'libs/shop/pyproject.toml': `${PYPROJECT}[tool.setuptools]\npackages = ["nowhere"]\n`,
  })
  const { state, message = '', hint = '' } = await project.built(await project.build(commit))
  assert.equal(state, 'failed')
  assert.match(message, /^requirements\.txt:2: shop: its build failed with exit code \d+:[\s\S]*nowhere/)
  assert.notEqual(hint, '')
})
