import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { Artifact } from '../../service/interpreter/lock.ts'
import { TestRepository } from '../support/repositories.ts'
import { refusal, resolvingSources } from '../support/resolving.ts'
import { makeWheel } from '../support/wheels.ts'

/** Requirements that name projects and files of the code, and git repositories; resolved by the real builder. */

const { parts, host, resolve } = await resolvingSources()

const refused = (files: Record<string, string | Buffer>) => refusal(resolve(files))

const rows = (artifacts: Artifact[]) =>
  artifacts.map(({ name, kind, path, editable, commit }) => [name, kind, path ?? commit, editable])
const pyproject = (name: string, dependencies: string[] = [], more = '') =>
  `[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n[project]\nname = "${name}"\nversion = "1.0"\ndependencies = ${JSON.stringify(dependencies)}\n${more}`
const setup = (body: string) =>
  `from setuptools import setup\n${body}\nsetup(name="old", version="1", py_modules=[], install_requires=["six==1.16.0"])\n`

const wheel = (requires: string) => makeWheel({ name: 'local', version: '1.0', requires: [requires] })

describe('projects of the code', () => {
  test('editable ones with extras, and copies: nothing is built to know what they need', async () => {
    const lines: string[] = []
    const files = {
      'requirements.txt': '-e .[six]\n./libs/lib\n',
      'pyproject.toml': pyproject('app', ['idna==3.7'], '[project.optional-dependencies]\nsix = ["six==1.16.0"]\n'),
      'libs/lib/pyproject.toml': pyproject('lib'),
    }
    const { artifacts, text } = await resolve(files, {}, lines)
    assert.deepEqual(rows(artifacts), [
      ['app', 'directory', '', true],
      ['idna', 'wheel', undefined, undefined],
      ['lib', 'directory', 'libs/lib', undefined],
      ['six', 'wheel', undefined, undefined],
    ])
    assert.match(text, /directory = \{ path = "\.", editable = true \}/)
    assert.deepEqual(lines, [])
  })

  test('one that asks for what is no requirement: named by its line', async () => {
    const files = {
      'requirements.txt': 'six\n-e ./libs/lib\n',
      'libs/lib/pyproject.toml': pyproject('lib', ['idna=3.7']),
    }
    const { message, hint } = await refused(files)
    assert.match(message, /^libs\/lib\/pyproject\.toml:7: libs\/lib\/pyproject\.toml asks for 'idna=3\.7': /)
    assert.match(hint, /a requirement looks like name==1\.2\.3/)
  })

  test('one whose setup.py must be run is run in the base, not in the builder', async () => {
    const lines: string[] = []
    const files = {
      'requirements.txt': '-e ./old\n',
      'old/setup.py': setup('import os; assert not os.path.exists("/opt/env"); open("needed.txt").read()'),
      'old/needed.txt': '',
    }
    const { artifacts } = await resolve(files, {}, lines)
    assert.deepEqual(rows(artifacts), [
      ['old', 'directory', 'old', true],
      ['six', 'wheel', undefined, undefined],
    ])
    assert.ok(
      lines.some((line) => /only when it is built/.test(line)),
      lines.join('\n'),
    )
  })

  test('one whose setup.py fails is named by line, with the end of what it said', async () => {
    const error = await refused({
      'requirements.txt': 'idna\n-e ./old\n',
      'old/setup.py': setup('raise RuntimeError("no such luck")'),
    })
    assert.match(error.message, /^requirements\.txt:2: Failed to build `\.\/old`\n[\s\S]*no such luck/)
    assert.match(error.hint, /^Its own build failed/)
  })
})

describe('files of the code', () => {
  test('a wheel by its path, with what it needs; another content is another lock', async () => {
    const path = 'wheels/local-1.0-py3-none-any.whl'
    const files = { 'requirements.txt': `./${path}\n`, [path]: wheel('six==1.16.0') }
    const { artifacts } = await resolve(files)
    assert.deepEqual(rows(artifacts), [
      ['local', 'wheel', path, undefined],
      ['six', 'wheel', undefined, undefined],
    ])
    assert.match(artifacts[0]?.sha256 ?? '', /^[0-9a-f]{64}$/)
    assert.deepEqual(
      rows((await resolve({ ...files, [path]: wheel('idna==3.7') })).artifacts).map(([name]) => name),
      ['idna', 'local'],
    )
  })

  test('a wheel whose path no line could hold as it is', async () => {
    const path = 'my wheels/local-1.0+cpu-py3-none-any.whl'
    const files = { [path]: makeWheel({ name: 'local', version: '1.0+cpu' }) }
    const { artifacts } = await resolve({
      'requirements.txt': 'file:my%20wheels/local-1.0+cpu-py3-none-any.whl',
      ...files,
    })
    assert.deepEqual(rows(artifacts), [['local', 'wheel', path, undefined]])
  })

  test('a release from a folder of the repository', async () => {
    const path = 'links/local-1.0-py3-none-any.whl'
    const { artifacts } = await resolve({
      'requirements.txt': 'local\n--find-links ./links\n',
      [path]: wheel('six==1.16.0'),
    })
    assert.deepEqual(rows(artifacts), [
      ['local', 'wheel', path, undefined],
      ['six', 'wheel', undefined, undefined],
    ])
  })
})

describe('git repositories', () => {
  test('a tag, a branch and a commit become commits; what they need of git is found too', async () => {
    const deep = await TestRepository.make(join(parts.folder, 'git/deep.git'))
    const first = await deep.commit({ 'pyproject.toml': pyproject('deep') }, { ref: 'refs/heads/main' })
    const lib = await TestRepository.make(join(parts.folder, 'git/lib.git'))
    const needs = [`deep @ git+${host.url}deep.git@main`]
    const second = await lib.commit({ 'py/pyproject.toml': pyproject('lib', needs), 'py/lib.py': '' })
    await lib.git(['tag', '-a', '-m', 'v1', 'v1', second])
    const line = `lib @ git+${host.url}lib.git@v1#subdirectory=py\n`
    const { artifacts, text } = await resolve({ 'requirements.txt': line })
    assert.deepEqual(rows(artifacts), [
      ['deep', 'vcs', first, undefined],
      ['lib', 'vcs', second, undefined],
    ])
    assert.match(text, new RegExp(`commit-id = "${second}", requested-revision = "v1", subdirectory = "py"`))
  })

  test('two projects of one repository, and one that is for another system', async () => {
    const many = await TestRepository.make(join(parts.folder, 'git/many.git'))
    const at = (name: string) => `${name} @ git+${host.url}many.git@main#subdirectory=${name}`
    const commit = await many.commit(
      {
        'one/pyproject.toml': pyproject('one', [at('two'), `${at('three')} ; sys_platform == 'win32'`]),
        'two/pyproject.toml': pyproject('two'),
        'three/pyproject.toml': pyproject('three'),
      },
      { ref: 'refs/heads/main' },
    )
    const files = { 'requirements.txt': './here\n', 'here/pyproject.toml': pyproject('here', [at('one')]) }
    assert.deepEqual(rows((await resolve(files)).artifacts), [
      ['here', 'directory', 'here', undefined],
      ['one', 'vcs', commit, undefined],
      ['two', 'vcs', commit, undefined],
    ])
  })

  test('one that asks for what is no requirement: named by the line that asks for it', async () => {
    const typo = await TestRepository.make(join(parts.folder, 'git/typo.git'))
    await typo.commit({ 'pyproject.toml': pyproject('typo', ['idna=3.7']) }, { ref: 'refs/heads/main' })
    const { message } = await refused({ 'requirements.txt': `six\ntypo @ git+${host.url}typo.git@main\n` })
    assert.match(message, /^requirements\.txt:2: git\+http\S+typo\.git@main\/pyproject\.toml asks for 'idna=3\.7'/)
  })

  test('what is for another system alone is not fetched', async () => {
    const none = (name: string) => `${name} @ git+${host.url}none.git ; sys_platform == 'win32'`
    const files = { 'here/pyproject.toml': pyproject('here', [none('one')]) }
    const { artifacts } = await resolve({ 'requirements.txt': `./here\n${none('two')}\n`, ...files })
    assert.deepEqual(rows(artifacts), [['here', 'directory', 'here', undefined]])
    const project = await resolve(
      { 'pyproject.toml': pyproject('wood', [none('one'), 'six']) },
      { interpreter: 'pyproject.toml' },
    )
    assert.deepEqual(
      project.artifacts.map(({ name }) => name),
      ['six', 'wood'],
    )
  })

  test('what a repository asks for in its turn is one line to the resolver, or refused', async () => {
    const evil = await TestRepository.make(join(parts.folder, 'git/evil.git'))
    for (const [target, message] of [
      ['evil.git#subdirectory=a%0A--extra-index-url%20http://127.0.0.1:9/', /subdirectory=a%0A--extra\S+ is no path/],
      ['evil.git#subdirectory=../../up', /subdirectory=\.\.\/\.\.\/up leads outside/],
      ["evil.git ; python_version > '3' --hash=sha256:aa --extra-index-url http://127.0.0.1:9/", /is no requirement/],
      ["evil.git ; python_version > '3' \\\\", /is no requirement/],
    ] as const) {
      await evil.commit(
        { 'pyproject.toml': pyproject('evil', []).replace('[]', `["deep @ git+${host.url}${target}"]`) },
        { ref: 'refs/heads/main' },
      )
      const error = await refused({ 'requirements.txt': `idna\nevil @ git+${host.url}evil.git@main\n` })
      assert.match(error.message, /^requirements\.txt:2: .*evil\.git: pyproject\.toml:7: /)
      assert.match(error.message, message)
    }
  })

  test('one that asks for credentials, a tag that is not there, a host that is private: named by line', async () => {
    const lib = await TestRepository.make(join(parts.folder, 'git/some.git'))
    await lib.commit({ 'pyproject.toml': pyproject('some') }, { ref: 'refs/heads/main' })
    const asking = (target: string) => refused({ 'requirements.txt': `idna\nsome @ git+${target}\n` })
    const tag = await asking(`${host.url}some.git@v9`)
    assert.match(tag.message, /^requirements\.txt:2: .*some\.git has no branch or tag v9/)
    host.fault = 401
    const secret = await asking(`${host.url}some.git@main`)
    host.fault = undefined
    assert.match(secret.message, /^requirements\.txt:2: .*asks for credentials/)
    assert.match(secret.hint, /later version/)
    const inside = await asking('https://169.254.169.254/some.git')
    assert.match(inside.message, /^requirements\.txt:2: .*private address/)
    const file = await asking('file:///etc/some.git')
    assert.match(file.message, /^requirements\.txt:2: .*not an https: URL/)
  })
})

describe('indexes that a file names', () => {
  for (const [line, message] of [
    ['--index-url http://example.org/simple', /^requirements\.txt:2: the index at example\.org is not one of https:/],
    ['--extra-index-url https://10.0.0.1/simple', /^requirements\.txt:2: the index at 10\.0\.0\.1 is private/],
  ] as const) {
    test(`${line} is refused`, async () => {
      assert.match((await refused({ 'requirements.txt': `idna\n${line}\n` })).message, message)
    })
  }

  test('no index: only what lies in the repository', async () => {
    const links = { 'links/local-1.0-py3-none-any.whl': wheel('six==1.16.0') }
    const error = await refused({ 'requirements.txt': '--no-index\n-f links\nlocal\n', ...links })
    assert.match(error.message, /six was not found/)
  })
})

describe('files as people write them', () => {
  test('by a Windows shell, with a byte order mark, or empty', async () => {
    const names = async (bytes: Buffer) =>
      (await resolve({ 'requirements.txt': bytes })).artifacts.map(({ name }) => name)
    assert.deepEqual(await names(Buffer.from('\ufeff# wide\r\nidna==3.7\r\n', 'utf16le')), ['idna'])
    assert.deepEqual(await names(Buffer.from('\ufeffidna==3.7\r\nsix==1.16.0')), ['idna', 'six'])
    assert.deepEqual(await names(Buffer.from('')), [])
    assert.deepEqual(await names(Buffer.from('# nothing\n')), [])
  })

  test('a comment that ends in a backslash, which pip and uv read in two ways: as pip does', async () => {
    const files = {
      'requirements.txt':
        'idna==3.7 # the last \\\n--extra-index-url http://127.0.0.1:9/simple\n-r "more/with space.txt"\nsix==1.16.0',
      'more/with space.txt': 'attrs==23.2.0 # \\\nrich',
    }
    const { artifacts } = await resolve(files)
    assert.deepEqual(
      artifacts.map(({ name }) => name),
      ['attrs', 'idna', 'six'],
    )
  })

  test('a release that was yanked is taken where it is asked for, and said', async () => {
    const lines: string[] = []
    const { artifacts } = await resolve({ 'requirements.txt': 'attrs==21.1.0\n' }, {}, lines)
    assert.deepEqual(
      artifacts.map(({ version }) => version),
      ['21.1.0'],
    )
    assert.ok(
      lines.some((line) => /attrs==21\.1\.0.* is yanked \(reason: /.test(line)),
      lines.join(),
    )
  })
})
