import assert from 'node:assert/strict'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import { loadSpec } from '../../service/interpreter/formats.ts'
import type { Artifact } from '../../service/interpreter/lock.ts'
import { codeFiles } from '../support/code-files.ts'
import { TestRepository } from '../support/repositories.ts'
import { resolvingSources } from '../support/resolving.ts'
import { makeWheel } from '../support/wheels.ts'

/** A pyproject.toml without a lock: what its [tool.uv] says of where packages come from, and in which versions. */

const { parts, host, resolve } = await resolvingSources('pyproject.toml')

const rows = ({ artifacts }: { artifacts: Artifact[] }) =>
  artifacts.map(({ name, kind, path, commit, version, subdirectory = '' }) =>
    [name, kind, path ?? commit ?? version, subdirectory].join(' ').trimEnd(),
  )
const BUILD = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
const member = (name: string, dependencies: string[] = [], more = '') =>
  `[project]\nname = "${name}"\nversion = "1"\ndependencies = ${JSON.stringify(dependencies)}\n${more}`

/** A repository of the git host, with one commit on main. */
async function repository(name: string, files: Record<string, string>): Promise<string> {
  const made = await TestRepository.make(join(parts.folder, `git/${name}.git`))
  return await made.commit(files, { ref: 'refs/heads/main' })
}

describe('git', () => {
  let elm: string
  let oak: string
  before(async () => {
    elm = await repository('elm', { 'pyproject.toml': member('elm', ['idna==3.7'], BUILD) })
    // A workspace, one of whose members needs another, and another repository.
    oak = await repository('oak', {
      'pyproject.toml': '[tool.uv.workspace]\nmembers = ["py/*"]\n',
      'py/oak/pyproject.toml': member(
        'oak',
        ['acorn', 'elm'],
        `${BUILD}[tool.uv.sources]\nacorn = { workspace = true }\nelm = { git = "${host.url}elm.git" }\n`,
      ),
      'py/acorn/pyproject.toml': member('acorn', [], BUILD),
    })
  })

  test('by [tool.uv.sources] and by the requirement itself; what repositories need in their turn', async () => {
    const lines: string[] = []
    const sources = `[tool.uv.sources]\noak = { git = "${host.url}oak.git", branch = "main", subdirectory = "py/oak" }\n`
    const text = member('wood', ['oak', `elm @ git+${host.url}elm.git@main`], sources)
    const lock = await resolve({ 'pyproject.toml': text }, {}, lines)
    assert.deepEqual(rows(lock), [
      `acorn vcs ${oak} py/acorn`,
      `elm vcs ${elm}`,
      'idna wheel 3.7',
      `oak vcs ${oak} py/oak`,
    ])
    assert.match(lock.text, /requested-revision = "main", subdirectory = "py\/oak"/)
    assert.ok(lines.includes(`${host.url}oak.git@main is at ${oak}`), lines.join('\n'))
  })

  test('markers, extras and groups are those of the project', async () => {
    const text = member(
      'wood',
      ['elm ; sys_platform == "win32"', 'six==1.16.0'],
      `[project.optional-dependencies]\ntrees = ["elm"]\n[dependency-groups]\ndev = ["acorn @ git+${host.url}oak.git#subdirectory=py/acorn"]\n` +
        `[tool.uv.sources]\nelm = { git = "${host.url}elm.git", tag = "main" }\n` +
        `six = { git = "${host.url}elm.git", marker = "sys_platform == 'darwin'" }\n`,
    )
    const files = { 'pyproject.toml': text }
    assert.deepEqual(rows(await resolve(files)), ['six wheel 1.16.0'])
    assert.deepEqual(rows(await resolve(files, { extras: ['trees'], groups: ['dev'] })), [
      `acorn vcs ${oak} py/acorn`,
      `elm vcs ${elm}`,
      'idna wheel 3.7',
      'six wheel 1.16.0',
    ])
  })

  for (const [what, source, line, message] of [
    ['a branch that is not there', 'git = "HOSTelm.git", branch = "v9"', 7, /elm\.git has no branch or tag .*v9/],
    ['no repository', 'git = "HOSTnone.git"', 7, /there is no repository at \S+none\.git/],
    ['what needs a key', 'git = "ssh://git@example.org/elm.git"', 7, /only git\+https: is supported/],
    ['a password', 'git = "https://me:secret@example.org/elm.git"', 7, /holds a user name or password/],
    ['a private host', 'git = "https://10.0.0.1/elm.git"', 7, /leads to a private address/],
  ] as const) {
    test(`${what} is named by line`, async () => {
      const sources = `[tool.uv.sources]\nelm = { ${source.replace('HOST', host.url.href)} }\n`
      await assert.rejects(resolve({ 'pyproject.toml': member('wood', ['elm'], `\n${sources}`) }), (error: Error) => {
        assert.match(error.message, message)
        assert.match(error.message, new RegExp(`^pyproject\\.toml:${line}: `))
        assert.doesNotMatch(error.message, /secret/)
        return true
      })
    })
  }

  test('what a repository holds for its tests may be anything; what counts must be well formed', async () => {
    const fixtures = {
      'tests/bad/pyproject.toml': ']no TOML',
      'tests/worse/pyproject.toml': member('worse', ['idna=3.7']),
    }
    const ash = await repository('ash', { 'pyproject.toml': member('ash', ['idna==3.7'], BUILD), ...fixtures })
    const asking = (name: string) => ({ 'pyproject.toml': member('wood', [`${name} @ git+${host.url}${name}.git`]) })
    assert.deepEqual(rows(await resolve(asking('ash'))), [`ash vcs ${ash}`, 'idna wheel 3.7'])
    await repository('bad', { 'pyproject.toml': '[project\n' })
    await assert.rejects(
      resolve(asking('bad')),
      /^ResolutionFailed: pyproject\.toml:4: http\S+bad\.git: pyproject\.toml:1: Invalid TOML/,
    )
    await assert.rejects(
      resolve({ 'requirements.txt': `six\nbad @ git+${host.url}bad.git\n` }, { interpreter: 'requirements.txt' }),
      /^ResolutionFailed: requirements\.txt:2: http\S+bad\.git: pyproject\.toml:1: Invalid TOML/,
    )
    await repository('typo', { 'pyproject.toml': member('typo', ['idna=3.7']) })
    await assert.rejects(
      resolve(asking('typo')),
      /^ResolutionFailed: pyproject\.toml:4: git\+http\S+typo\.git@HEAD\/pyproject\.toml asks for 'idna=3\.7'/,
    )
  })

  test('what a repository names in its turn that is not supported', async () => {
    const ssh = '[tool.uv.sources]\nash = { git = "ssh://git@example.org/ash.git" }\n'
    await repository('far', { 'pyproject.toml': member('far', ['ash'], ssh) })
    await assert.rejects(
      resolve({ 'pyproject.toml': member('wood', [`far @ git+${host.url}far.git`]) }),
      /^ResolutionFailed: pyproject\.toml:4: http\S+far\.git: pyproject\.toml\S* .*only git\+https: is supported/,
    )
  })
})

describe('the code', () => {
  const wheel = makeWheel({ name: 'local', version: '1.0', requires: ['six==1.16.0'] })
  const links = { 'links/local-1.0-py3-none-any.whl': wheel }

  test('a wheel by its path, whose content is part of what the lock is known by', async () => {
    const sources = '[tool.uv.sources]\nlocal = { path = "links/local-1.0-py3-none-any.whl" }\n'
    const files = { 'pyproject.toml': member('wood', ['local'], sources), ...links }
    assert.deepEqual(rows(await resolve(files)), ['local wheel links/local-1.0-py3-none-any.whl', 'six wheel 1.16.0'])
    const spec = await loadSpec(codeFiles(files), { interpreter: 'pyproject.toml' })
    assert.deepEqual(Object.keys(spec.local ?? {}), ['links/local-1.0-py3-none-any.whl'])
  })

  test('a folder of wheels, as an index or by find-links', async () => {
    const index = '[tool.uv.sources]\nlocal = { index = "ours" }\n[[tool.uv.index]]\nname = "ours"\nurl = "../links"\n'
    for (const more of [`${index}format = "flat"\nexplicit = true\n`, '[tool.uv]\nfind-links = ["../links"]\n']) {
      const files = { 'py/pyproject.toml': member('wood', ['local'], more), ...links }
      assert.deepEqual(rows(await resolve(files, { interpreter: 'py/pyproject.toml' })), [
        'local wheel links/local-1.0-py3-none-any.whl',
        'six wheel 1.16.0',
      ])
    }
  })

  test('a project whose requirements only its setup.py knows', async () => {
    const lines: string[] = []
    const sources = '[tool.uv.sources]\nold = { path = "libs/old", editable = true }\n'
    const files = {
      'pyproject.toml': member('wood', ['old'], sources),
      'libs/old/setup.py':
        'from setuptools import setup\nsetup(name="old", version="1", install_requires=open("needs.txt").read().split())\n',
      'libs/old/needs.txt': 'six==1.16.0\n',
    }
    assert.deepEqual(rows(await resolve(files, {}, lines)), ['old directory libs/old', 'six wheel 1.16.0'])
    assert.ok(
      lines.some((line) => /only when it is built/.test(line)),
      lines.join('\n'),
    )
  })

  test('the project itself, whose requirements its backend reads from a file', async () => {
    const dynamic = 'dynamic = ["dependencies"]\n[tool.setuptools.dynamic]\ndependencies = { file = ["needs.txt"] }\n'
    const text = `[project]\nname = "wood"\nversion = "1"\n${dynamic}[tool.setuptools]\npy-modules = []\n${BUILD}`
    const files = { 'py/pyproject.toml': text, 'py/needs.txt': 'six==1.16.0\n' }
    const lock = await resolve(files, { interpreter: 'py/pyproject.toml' })
    assert.deepEqual(rows(lock), ['six wheel 1.16.0', 'wood directory py'])
    const { files: read } = await loadSpec(codeFiles(files), { interpreter: 'py/pyproject.toml' })
    assert.deepEqual(Object.keys(read).sort(), ['py/needs.txt', 'py/pyproject.toml'])
  })

  test('a member of a workspace, named by itself: other members, and what the root says to uv', async () => {
    const files = {
      'pyproject.toml':
        '[tool.uv]\noverride-dependencies = ["six==1.16.0"]\n[tool.uv.workspace]\nmembers = ["packages/*"]\n',
      'packages/oak/pyproject.toml': member(
        'oak',
        ['elm', 'six==1.17.0'],
        `[tool.uv.sources]\nelm = { workspace = true }\n${BUILD}`,
      ),
      'packages/elm/pyproject.toml': member('elm', [], BUILD),
    }
    const wrong = { ...files, 'packages/elm/pyproject.toml': member('elm', ['six=1.16.0']) }
    await assert.rejects(resolve(wrong, { interpreter: 'packages/oak/pyproject.toml' }), {
      message: /^packages\/elm\/pyproject\.toml:4: packages\/elm\/pyproject\.toml asks for 'six=1\.16\.0': /,
      hint: /a requirement looks like name==1\.2\.3/,
    })
    assert.deepEqual(rows(await resolve(files, { interpreter: 'packages/oak/pyproject.toml' })), [
      'elm directory packages/elm',
      'oak directory packages/oak',
      'six wheel 1.16.0',
    ])
  })

  for (const [what, source, message] of [
    ['a file that is not there', 'path = "links/none-1.0-py3-none-any.whl"', /there is no such file in the repository/],
    ['a folder without a project', 'path = "links"', /links: there is no project in that folder/],
    ['a folder outside', 'path = "../links"', /\.\.\/links lies outside the repository/],
    ['a URL that is not https', 'url = "http://example.org/local-1.0.tar.gz"', /is not an https: URL/],
    ['a private URL', 'url = "https://127.0.0.1/local-1.0.tar.gz"', /is a private address/],
  ] as const) {
    test(`${what} is named by line`, async () => {
      const text = member('wood', ['local'], `[tool.uv.sources]\nlocal = { ${source} }\n`)
      const asked = loadSpec(codeFiles({ 'pyproject.toml': text, ...links }), { interpreter: 'pyproject.toml' })
      await assert.rejects(asked, (error: Error) => {
        assert.equal(error.name, 'EnvironmentFileError')
        assert.match(error.message, /^pyproject\.toml:6: /)
        assert.match(error.message, message)
        return true
      })
    })
  }
})

test('constraints, overrides and versions that are limited by their date', async () => {
  const uv = [
    '[tool.uv]',
    'constraint-dependencies = ["six<1.17"]',
    'override-dependencies = ["urllib3==2.2.1"]',
    'exclude-newer = "2024-06-01T00:00:00Z"',
  ]
  const text = member('wood', ['six', 'requests', 'urllib3<2'], `${uv.join('\n')}\n`)
  const { artifacts } = await resolve({ 'pyproject.toml': text })
  const versions = new Map(artifacts.map(({ name, version }) => [name, version]))
  assert.equal(versions.get('six'), '1.16.0')
  assert.equal(versions.get('urllib3'), '2.2.1')
  assert.equal(versions.get('requests'), '2.32.3')
})

test('uv.toml takes the place of what pyproject.toml says of the same', async () => {
  const files = {
    'pyproject.toml': member('wood', ['local'], '[tool.uv]\nfind-links = ["other"]\n'),
    'uv.toml': 'find-links = ["links"]\nno-index = true\noverride-dependencies = ["six; python_version < \\"3\\""]\n',
    'links/local-1.0-py3-none-any.whl': makeWheel({ name: 'local', version: '1.0', requires: ['six==1.16.0'] }),
  }
  assert.deepEqual(rows(await resolve(files)), ['local wheel links/local-1.0-py3-none-any.whl'])
  await assert.rejects(
    resolve({ ...files, 'uv.toml': '[[index]]\nurl = "https://10.0.0.1/simple"\n' }),
    /^ResolutionFailed: uv\.toml:2: the index at 10\.0\.0\.1 is private/,
  )
})

test('an index that is private or has credentials is not asked', async () => {
  const index = (url: string) => `[[tool.uv.index]]\nname = "corp"\nurl = "${url}"\n`
  await assert.rejects(
    resolve({ 'pyproject.toml': member('wood', ['six'], index('https://10.0.0.1/simple')) }),
    /^ResolutionFailed: pyproject\.toml:7: the index at 10\.0\.0\.1 is private/,
  )
  await assert.rejects(
    resolve({ 'pyproject.toml': member('wood', ['six'], index('https://me:secret@example.org/simple')) }),
    /^EnvironmentFileError: pyproject\.toml:7: index corp https:\/\/example\.org\/simple: it holds a user name/,
  )
})
