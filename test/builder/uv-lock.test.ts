import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import type { InterpreterRequest } from '../../common/contract.ts'
import { loadSpec } from '../../service/interpreter/formats.ts'
import type { Lock } from '../../service/interpreter/lock.ts'
import { STEP, testBase } from '../support/builder.ts'
import { codeFiles } from '../support/code-files.ts'
import { serveGit } from '../support/git-http.ts'
import { TestRepository } from '../support/repositories.ts'
import { ASK, pins, refusal, resolving } from '../support/resolving.ts'
import { uvLock, uvLockWithGit } from '../support/uv-lock.ts'
import { makeWheel } from '../support/wheels.ts'

/** uv.lock, made by uv itself, through the real resolver. */

const { parts, resolve } = await resolving('uv.lock')
const host = await serveGit({ after }, join(parts.folder, 'git'))

const PYPROJECT = `[project]
name = "wood"
version = "1"
requires-python = ">=3.9"
dependencies = [
  "idna==3.7",
  "colorama ; sys_platform == 'win32'",
  "tomli ; python_version < '3.11'",
]

[project.optional-dependencies]
fast = ["six==1.16.0"]

[dependency-groups]
dev = ["iniconfig==2.0.0"]
lint = ["toolz==1.0.0", { include-group = "dev" }]
`
const project = { 'pyproject.toml': PYPROJECT }
const lock = await uvLock(parts, project)

describe('groups and extras', () => {
  test('the default group comes with it, what is asked for is added, markers are those of the target', async () => {
    const plain = await resolve({ ...project, 'uv.lock': lock })
    assert.deepEqual(pins(plain), ['idna==3.7', 'iniconfig==2.0.0'])
    const more = await resolve({ ...project, 'uv.lock': lock }, { groups: ['lint'], extras: ['fast'] })
    assert.deepEqual(pins(more), ['idna==3.7', 'iniconfig==2.0.0', 'six==1.16.0', 'toolz==1.0.0'])
    for (const artifact of more.artifacts) {
      assert.deepEqual([artifact.kind, artifact.index], ['wheel', 'default'])
      assert.match(artifact.sha256 ?? '', /^[0-9a-f]{64}$/)
    }
    assert.deepEqual([more.unpinned, more.source], [[], 'uv.lock'])
    assert.ok(more.requirements.some(({ file, line, name }) => `${file}:${line} ${name}` === 'pyproject.toml:6 idna'))
  })

  test('the default group left out, and one that is asked for with a group that is left out', async () => {
    const files = { ...project, 'uv.lock': lock }
    assert.deepEqual(pins(await resolve(files, { 'without-groups': ['dev'] })), ['idna==3.7'])
    const lint = { groups: ['lint'], 'without-groups': ['dev'] }
    // The group that includes it has its packages all the same, as "uv sync" has them.
    assert.deepEqual(pins(await resolve(files, lint)), ['idna==3.7', 'iniconfig==2.0.0', 'toolz==1.0.0'])
    const error = await refusal(resolve(files, { 'without-groups': ['docs'] }))
    assert.match(error.message, /^uv\.lock: Group `docs` is not defined/)
  })

  test('the default groups that the project names itself', async () => {
    const own = { 'pyproject.toml': `${PYPROJECT}\n[tool.uv]\ndefault-groups = ["lint"]\n` }
    const files = { ...own, 'uv.lock': await uvLock(parts, own) }
    assert.deepEqual(pins(await resolve(files)), ['idna==3.7', 'iniconfig==2.0.0', 'toolz==1.0.0'])
    assert.deepEqual(pins(await resolve(files, { 'without-groups': ['lint'] })), ['idna==3.7'])
  })

  test('one that is not there is named', async () => {
    const error = await refusal(resolve({ ...project, 'uv.lock': lock }, { groups: ['docs'] }))
    assert.match(error.message, /^uv\.lock: Group `docs` is not defined/)
    assert.match(error.hint, /group or extra that pyproject\.toml has/)
  })
})

describe('a lock older than its pyproject.toml', () => {
  for (const [what, from, to, line, message] of [
    [
      'a version',
      '"idna==3.7"',
      '"idna==3.8"',
      6,
      /asks for idna==3\.8, and uv\.lock was made when it asked for idna==3\.7/,
    ],
    [
      'a new requirement',
      '  "idna==3.7",',
      '  "idna==3.7",\n  "attrs",',
      7,
      /asks for attrs, and uv\.lock was made before it did/,
    ],
    ['one that is gone', '  "idna==3.7",\n', '', undefined, /no longer asks for idna==3\.7/],
    ['an extra', '"six==1.16.0"', '"six>=1.17"', 12, /asks for six>=1\.17 for extra fast/],
    ['a group', '"toolz==1.0.0"', '"toolz"', 16, /asks for toolz for group lint/],
    ['a marker', "python_version < '3.11'", "python_version < '3.12'", 8, /asks for tomli ; python_version < '3\.12'/],
    ['requires-python', '">=3.9"', '">=3.10"', 4, /another value of requires-python than uv\.lock was made with$/],
    [
      'a source',
      '[dependency-groups]',
      '[tool.uv.sources]\nidna = { git = "https://example.org/idna" }\n[dependency-groups]',
      15,
      /asks for idna from another source than uv\.lock was made with/,
    ],
    [
      'an override',
      '[dependency-groups]',
      '[tool.uv]\noverride-dependencies = ["idna==3.8"]\n[dependency-groups]',
      15,
      /value of override-dependencies than/,
    ],
    [
      'a constraint',
      '[dependency-groups]',
      '[tool.uv]\nconstraint-dependencies = ["idna<4"]\n[dependency-groups]',
      15,
      /value of constraint-dependencies than/,
    ],
    [
      'a default index',
      '[dependency-groups]',
      '[[tool.uv.index]]\nurl = "https://example.org/simple"\ndefault = true\n[dependency-groups]',
      14,
      /another index than https:\S+, which uv\.lock has \w+ from/,
    ],
    [
      'a group as it was written before',
      '[dependency-groups]',
      '[tool.uv]\ndev-dependencies = ["attrs"]\n[dependency-groups]',
      15,
      /asks for attrs for group dev, and/,
    ],
  ] as const) {
    test(`${what} is said, with the command that renews it`, async () => {
      assert.ok(PYPROJECT.includes(from))
      const error = await refusal(resolve({ 'pyproject.toml': PYPROJECT.replace(from, to), 'uv.lock': lock }))
      assert.match(error.message, message)
      assert.equal(error.line, line)
      assert.match(error.hint, /^Run "uv lock" and commit uv\.lock\.$/)
    })
  }

  test('a setting of uv.toml', async () => {
    const error = await refusal(resolve({ ...project, 'uv.lock': lock, 'uv.toml': '\nprerelease = "allow"\n' }))
    assert.match(error.message, /^uv\.toml:2: uv\.toml has another value of prerelease than uv\.lock was made with$/)
  })

  test('a project that uv could not lock, in its own words', async () => {
    const root = `${PYPROJECT}[tool.uv.workspace]\nmembers = ["elm"]\n`
    const files = { 'pyproject.toml': root, 'elm/pyproject.toml': '[project]\nname = "elm"\nversion = "1"\n' }
    const locked = { ...files, 'uv.lock': await uvLock(parts, files) }
    const error = await refusal(resolve({ ...locked, 'pyproject.toml': root.replace('"idna==3.7"', '"elm"') }))
    const alone = await refusal(resolve({ ...files, 'uv.lock': lock }))
    assert.match(alone.message, /elm\/pyproject\.toml is a project of the workspace that uv\.lock does not have yet$/)
    const gone = await refusal(resolve({ ...locked, 'pyproject.toml': PYPROJECT }))
    assert.match(gone.message, /pyproject\.toml has another workspace: uv\.lock has elm, /)
    assert.match(error.message, /^uv\.lock: [\s\S]*`elm` is included as a workspace member, but is missing an entry in/)
  })

  test('what is only written in another way is the same', async () => {
    const other = PYPROJECT.replace('"idna==3.7"', '"IDNA == 3.7.0"').replace(
      "python_version < '3.11'",
      "python_full_version<'3.11'",
    )
    assert.deepEqual(pins(await resolve({ 'pyproject.toml': other, 'uv.lock': lock })), [
      'idna==3.7',
      'iniconfig==2.0.0',
    ])
  })
})

/** What uv locks, and takes for fresh, though not all of it can be read here or is asked for. */
const RICH = {
  'links/.keep': '',
  'pyproject.toml': `[project]
name = "wood"
dynamic = ["version"]
requires-python = ">=3.9"
dependencies = ["idna==3.7", "oak", "old"]
[project.optional-dependencies]
fast = ["six==1.16.0"]
[dependency-groups]
dev = ["iniconfig==2.0.0"]
[tool.uv]
dev-dependencies = ["toolz==1.0.0"]
find-links = ["./links"]
[tool.uv.sources]
oak = { path = "libs/oak" }
old = { path = "libs/old" }
six = [{ path = "libs/six", marker = "sys_platform == 'win32'" }]
unused = { path = "libs/elm" }
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[tool.setuptools]
py-modules = ["wood"]
dynamic = { version = { attr = "wood.VERSION" } }
`,
  'wood.py': 'VERSION = "2"\n',
  'libs/oak/pyproject.toml': `[project]
name = "oak"
version = "1"
[project.optional-dependencies]
more = ["elm"]
[dependency-groups]
dev = ["elm"]
[tool.uv.sources]
elm = { path = "../elm" }
[build-system]
requires = ["setuptools"]
`,
  'libs/old/setup.py':
    'from setuptools import setup\nsetup(name="old", version="1", install_requires=["packaging==24.0"])\n',
  'libs/elm/pyproject.toml': '[project]\nname = "elm"\nversion = "1"\n[build-system]\nrequires = ["setuptools"]\n',
  'libs/six/pyproject.toml': '[project]\nname = "six"\nversion = "1"\n[build-system]\nrequires = ["setuptools"]\n',
}
const OF_RICH = [
  'idna==3.7',
  'iniconfig==2.0.0',
  'oak==0',
  'old==0',
  'packaging==24.0',
  'six==1.16.0',
  'toolz==1.0.0',
  'wood==0',
]

for (const version of [undefined, '0.5.0', '0.6.17', '0.8.0']) {
  test(`a lock by uv ${version ?? 'as it is here'} gives the same`, async () => {
    const rich = { ...RICH, 'uv.lock': await uvLock(parts, RICH, version) }
    const lines: string[] = []
    assert.deepEqual(pins(await resolve(rich, { extras: ['fast'] }, lines)), OF_RICH)
    assert.deepEqual(
      lines.filter((line) => /is not known/.test(line)),
      [],
    )
    const older = { ...rich, 'pyproject.toml': RICH['pyproject.toml'].replace('"libs/oak"', '"libs/elm"') }
    const error = await refusal(resolve(older, { extras: ['fast'] }))
    assert.match(error.message, /^pyproject\.toml:14: .* asks for oak from another source/)
  })
}

for (const python of ['3.9', '3.13'] as const) {
  test(`one lock serves Python ${python} too`, async () => {
    const itsBase = await testBase(python)
    const itsProbe = await parts.builder.probe(itsBase, STEP)
    const spec = await loadSpec(codeFiles({ ...project, 'uv.lock': lock }), { interpreter: 'uv.lock' })
    const made = await parts.builder.resolve(itsBase, spec, itsProbe, ASK)
    const found = made.artifacts.map(({ name }) => name)
    assert.deepEqual(found, ['idna', 'iniconfig', ...(python === '3.9' ? ['tomli'] : [])])
  })
}

test('TOML as uv takes it, and Python does not yet', async () => {
  const oak = '[project]\nname = "oak"\nversion = "1"\n'
  const text = `${PYPROJECT.replace('"idna==3.7"', '"oak"')}[tool.uv.sources]\noak = {\n  path = "oak",\n}\n`
  const files = { 'pyproject.toml': text, 'oak/pyproject.toml': oak }
  const locked = { ...files, 'uv.lock': await uvLock(parts, files) }
  const lines: string[] = []
  assert.deepEqual(pins(await resolve(locked, {}, lines)), ['iniconfig==2.0.0', 'oak==0'])
  assert.deepEqual(lines, [])
  const error = await refusal(resolve({ ...locked, 'pyproject.toml': text.replace('"oak"', '"attrs", "oak"') }))
  assert.match(error.message, /^pyproject\.toml:6: .* asks for attrs, and uv\.lock was made before it did$/)
})

test('in a sub-folder', async () => {
  const files = { 'py/pyproject.toml': PYPROJECT, 'py/uv.lock': lock }
  assert.deepEqual(pins(await resolve(files, { interpreter: 'py/uv.lock' })), ['idna==3.7', 'iniconfig==2.0.0'])
  const stale = { ...files, 'py/pyproject.toml': PYPROJECT.replace('idna==3.7', 'idna==3.8') }
  const error = await refusal(resolve(stale, { interpreter: 'py/uv.lock' }))
  assert.match(error.message, /^py\/pyproject\.toml:6: py\/pyproject\.toml asks for idna==3\.8/)
  assert.equal(error.hint, 'Run "uv lock --directory py" and commit py/uv.lock.')
})

describe('projects of the code', () => {
  const member = (name: string, more = '') =>
    `[project]\nname = "${name}"\nversion = "1"\nrequires-python = ">=3.9"\n${more}`
  const build = '[build-system]\nrequires = ["setuptools"]\n'
  const local = ({ artifacts }: Lock) =>
    artifacts.flatMap(({ name, kind, path, editable }) => (kind === 'directory' ? [[name, path, editable]] : []))

  test('a workspace whose root is no project: all its members', async () => {
    const files = {
      'pyproject.toml': '[tool.uv.workspace]\nmembers = ["packages/*"]\n',
      'packages/oak/pyproject.toml': member('oak', `dependencies = ["idna==3.7"]\n${build}`),
      'packages/elm/pyproject.toml': member('elm', `[project.optional-dependencies]\nfast = ["six==1.16.0"]\n${build}`),
    }
    const lock = await resolve({ ...files, 'uv.lock': await uvLock(parts, files) }, { extras: ['fast'] })
    assert.deepEqual(local(lock), [
      ['elm', 'packages/elm', true],
      ['oak', 'packages/oak', true],
    ])
    assert.ok(pins(lock).includes('idna==3.7') && pins(lock).includes('six==1.16.0'))
    const more = { ...files, 'packages/ash/pyproject.toml': member('ash', build) }
    const error = await refusal(resolve({ ...more, 'uv.lock': await uvLock(parts, files) }))
    assert.match(
      error.message,
      /packages\/ash\/pyproject\.toml is a project of the workspace that uv\.lock does not have/,
    )
  })

  test('a project that is no package is not installed; a folder that is not editable is copied', async () => {
    const files = {
      'py/pyproject.toml': member(
        'wood',
        `dependencies = ["elm"]\n[tool.uv]\npackage = false\n[tool.uv.sources]\nelm = { path = "../elm" }\n${build}`,
      ),
      'elm/pyproject.toml': member('elm', build),
    }
    const lock = await resolve(
      { ...files, 'py/uv.lock': await uvLock(parts, files, undefined, 'py') },
      { interpreter: 'py/uv.lock' },
    )
    assert.deepEqual(local(lock), [['elm', 'elm', undefined]])
  })

  test('files by their path or URL, folders that are indexes, members and folders that are virtual', async () => {
    const [acme, beta] = ['acme', 'beta'].map((name) => makeWheel({ name, version: '1.0' }))
    const [wheel = ''] = /https:[^"]*idna-3\.7-[^"]*\.whl/.exec(lock) ?? []
    const [sdist = ''] = /https:[^"]*six-1\.16\.0\.tar\.gz/.exec(lock) ?? []
    const sources = [
      '[tool.uv.sources]',
      'acme = { path = "../wheels/acme-1.0-py3-none-any.whl" }',
      'beta = { index = "flat" }',
      `six = { url = "${sdist}" }`,
      'ash = { path = "../libs/ash", editable = true }',
      'oak = { path = "../libs/oak", package = false }',
      '[[tool.uv.index]]\nname = "flat"\nurl = "../flat"\nformat = "flat"\nexplicit = true\n',
    ]
    const needs = ['acme', 'beta', `idna @ ${wheel}`, 'six', 'ash', 'oak']
    const files = {
      'py/pyproject.toml': member('wood', `dependencies = ${JSON.stringify(needs)}\n${sources.join('\n')}`),
      'libs/ash/pyproject.toml': member('ash', build),
      'libs/oak/pyproject.toml': member('oak', `dependencies = ["toolz==1.0.0"]\n${build}`),
      'wheels/acme-1.0-py3-none-any.whl': acme ?? '',
      'flat/beta-1.0-py3-none-any.whl': beta ?? '',
    }
    const locked = { ...files, 'py/uv.lock': await uvLock(parts, files, undefined, 'py') }
    const { artifacts } = await resolve(locked, { interpreter: 'py/uv.lock' })
    const sha256 = (content: string | Buffer = '') => createHash('sha256').update(content).digest('hex')
    assert.deepEqual(
      artifacts.map(({ name, kind, path, url, editable }) => [name, kind, path ?? url, editable]),
      [
        ['acme', 'wheel', 'wheels/acme-1.0-py3-none-any.whl', undefined],
        ['ash', 'directory', 'libs/ash', true],
        ['beta', 'wheel', 'flat/beta-1.0-py3-none-any.whl', undefined],
        ['idna', 'wheel', wheel, undefined],
        ['six', 'sdist', sdist, undefined],
        ['toolz', 'wheel', artifacts.at(-1)?.url, undefined],
      ],
    )
    assert.deepEqual(
      artifacts.flatMap(({ path, sha256 }) => (path?.endsWith('.whl') ? sha256 : [])),
      [sha256(acme), sha256(beta)],
    )
    const { 'flat/beta-1.0-py3-none-any.whl': _, ...without } = locked
    await assert.rejects(
      resolve(without, { interpreter: 'py/uv.lock' }),
      /^EnvironmentFileError: py\/uv\.lock:\d+: there is no flat\/beta-1\.0-py3-none-any\.whl in the repository/,
    )
  })

  test('from git: its commit is that of the lock, and another tag or repository makes that old', async () => {
    const lib = await TestRepository.make(join(parts.folder, 'git/lib.git'))
    const commit = await lib.commit({ 'py/pyproject.toml': member('lib', build) })
    await lib.git(['tag', 'v1', commit])
    const asking = (source: string, needs = 'lib') => ({
      'pyproject.toml': member('wood', `dependencies = ["${needs}"]\n[tool.uv.sources]\n${source}\n`),
    })
    const url = `${host.url}lib.git`
    const files = asking(`lib = { git = "${url}", tag = "v1", subdirectory = "py" }`)
    const lock = { 'uv.lock': await uvLockWithGit(parts, files) }
    const [row] = (await resolve({ ...files, ...lock })).artifacts
    assert.deepEqual([row?.kind, row?.url, row?.commit, row?.subdirectory], ['vcs', url, commit, 'py'])
    for (const [other, line, message] of [
      [
        asking(`lib = { git = "${url}", tag = "v2", subdirectory = "py" }`),
        7,
        /pyproject\.toml asks for lib from another source/,
      ],
      [asking(`lib = { git = "${host.url}other.git", tag = "v1", subdirectory = "py" }`), 7, /another source/],
      [asking('', 'lib==9'), 5, /asks for lib from another source/],
    ] as const) {
      const error = await refusal(resolve({ ...other, ...lock }))
      assert.match(error.message, message)
      assert.equal(error.line, line)
    }
  })
})

describe('one project of a workspace', () => {
  const project = (name: string, needs: string[], more = '') =>
    `[project]\nname = "${name}"\nversion = "1"\nrequires-python = ">=3.9"\ndependencies = ${JSON.stringify(needs)}\n${more}`
  const build = '[build-system]\nrequires = ["setuptools"]\n'
  const files = {
    'pyproject.toml': project(
      'wood',
      ['idna==3.7'],
      `[dependency-groups]\ndev = ["iniconfig==2.0.0"]\nlint = ["toolz==1.0.0"]\n[tool.uv.workspace]\nmembers = ["packages/*"]\n[tool.uv.sources]\noak = { workspace = true }\n${build}`,
    ),
    'packages/oak/pyproject.toml': project(
      'oak',
      ['six==1.16.0'],
      `[project.optional-dependencies]\nfast = ["attrs==23.1.0"]\n[dependency-groups]\ndocs = ["packaging==24.0"]\n${build}`,
    ),
    'packages/elm/pyproject.toml': project('elm', ['oak', 'pluggy==1.4.0']),
  }
  const locked = uvLock(parts, files).then((lock) => ({ ...files, 'uv.lock': lock }))

  for (const [what, request, expected] of [
    ['the whole workspace', {}, ['idna', 'iniconfig', 'oak', 'pluggy', 'six', 'wood']],
    [
      'with an extra and a group of a member',
      { extras: ['fast'], groups: ['docs'] },
      ['attrs', 'idna', 'iniconfig', 'oak', 'packaging', 'pluggy', 'six', 'wood'],
    ],
    ['a member', { interpreter: 'packages/oak/pyproject.toml' }, ['oak', 'six']],
    [
      'with a group of its own',
      { interpreter: 'packages/oak/pyproject.toml', groups: ['docs'] },
      ['oak', 'packaging', 'six'],
    ],
    ['a virtual member', { interpreter: 'packages/elm/pyproject.toml' }, ['oak', 'pluggy', 'six']],
    ['the root alone', { interpreter: 'pyproject.toml' }, ['idna', 'iniconfig', 'wood']],
    [
      'main and a group: no default ones',
      { interpreter: 'pyproject.toml', groups: ['main', 'lint'] },
      ['idna', 'toolz', 'wood'],
    ],
    ['a group without main', { groups: ['lint'], 'without-groups': ['main'] }, ['toolz']],
  ] as const) {
    test(what, async () => {
      const { artifacts } = await resolve(await locked, request as Partial<InterpreterRequest>)
      assert.deepEqual(
        artifacts.map(({ name }) => name),
        expected,
      )
    })
  }

  test('nothing is left without main where no group is asked for', async () => {
    const error = await refusal(resolve(await locked, { 'without-groups': ['main'] }))
    assert.match(error.message, /^uv\.lock: without-groups: without main, no group is asked for$/)
    const extra = await refusal(
      resolve(await locked, { 'without-groups': ['main'], groups: ['lint'], extras: ['fast'] }),
    )
    assert.match(extra.message, /the extra fast is of the project itself$/)
  })

  test('two that conflict are named, with the way to one of them', async () => {
    const apart = {
      'pyproject.toml': project(
        'wood',
        [],
        '[tool.uv]\nworkspace = { members = ["a", "b"] }\nconflicts = [[{ package = "a" }, { package = "b" }]]\n',
      ),
      'a/pyproject.toml': project('a', ['six==1.16.0']),
      'b/pyproject.toml': project('b', ['six==1.15.0']),
    }
    const both = { ...apart, 'uv.lock': await uvLock(parts, apart) }
    assert.deepEqual(pins(await resolve(both, { interpreter: 'b/pyproject.toml' })), ['six==1.15.0'])
    const error = await refusal(resolve(both))
    assert.match(error.message, /`a` and package `b` are incompatible with the declared conflicts/)
    assert.match(error.hint, /^Name the pyproject\.toml of the project that is meant with the input "interpreter"/)
  })
})

test('credentials in an address are refused by its line, without being shown', async () => {
  const files = { 'pyproject.toml': PYPROJECT }
  const made = (await uvLock(parts, files)).replace(/(\{ url = "https:\/\/)(?=[^"]*idna-3\.7-py3)/, '$1me:s3cret@')
  const error = await refusal(resolve({ ...files, 'uv.lock': made }))
  const line = made.split('\n').findIndex((each) => each.includes('s3cret')) + 1
  assert.match(
    error.message,
    new RegExp(`^uv\\.lock:${line}: https://[^@]*idna-3\\.7[^@]* holds a user name or password$`),
  )
  assert.doesNotMatch(`${error.message} ${error.hint}`, /s3cret/)
})

test('a package without a file for this Python is named by line, with what helps', async () => {
  const files = { 'pyproject.toml': PYPROJECT.replace('"idna==3.7"', '"numpy==1.26.4"') }
  const made = (await uvLock(parts, files))
    .replace(/^sdist = .*numpy-.*\n/m, '')
    .replace(/^ *\{ url = "[^"]*numpy[^"]*cp311.*\n/gm, '')
  const error = await refusal(resolve({ ...files, 'uv.lock': made }))
  const line = made.split('\n').indexOf('name = "numpy"') + 1
  assert.equal(
    error.message,
    `uv.lock:${line}: numpy: No wheel found matching the provided tags, and no sdist available as a fallback`,
  )
  assert.match(error.hint, /^Allow a version that has files for Python 3\.11.*"uv lock --upgrade-package numpy"/)
})

test('a package for other systems only is named, with the marker that would exclude it', async () => {
  const windows = { 'pyproject.toml': PYPROJECT.replace("colorama ; sys_platform == 'win32'", 'pywin32==308') }
  const error = await refusal(resolve({ ...windows, 'uv.lock': await uvLock(parts, windows) }))
  assert.match(
    error.message,
    /^uv\.lock:\d+: pywin32: version 308 has files for Windows only, .*: pywin32 ; sys_platform == "win32"$/,
  )
})

test('a Python that the lock does not allow', async () => {
  const newer = { 'pyproject.toml': PYPROJECT.replace('>=3.9', '>=3.13') }
  const files = { ...newer, 'uv.lock': lock.replace('requires-python = ">=3.9"', 'requires-python = ">=3.13"') }
  const error = await refusal(resolve(files))
  assert.match(error.message, /^uv\.lock:3: it needs Python >=3\.13, and this base has 3\.11/)
  assert.match(error.hint, /python-version/)
})

describe('files that are no lock', () => {
  for (const [what, text, line, message] of [
    ['no TOML', 'version = 1\nfoo = [\n', 2, /TOML parse error at line 2[\s\S]*unclosed array/],
    ['without a version', 'foo = 1\n', 1, /missing field `version`/],
    ['of another version', 'version = 9\n', 1, /unsupported schema version \(v9/],
    ['of other types', 'version = 1\npackage = [1]\n', 2, /invalid type: integer/],
  ] as const) {
    test(what, async () => {
      const error = await refusal(resolve({ ...project, 'uv.lock': text }))
      assert.match(error.message, message)
      assert.equal(error.line, line)
    })
  }
})

test('line ends and marks of other systems make no difference', async () => {
  const windows = (text: string) => `\ufeff${text.replaceAll('\n', '\r\n')}`
  const files = { 'pyproject.toml': windows(PYPROJECT), 'uv.lock': windows(lock) }
  assert.equal((await resolve(files)).digest, (await resolve({ ...project, 'uv.lock': lock })).digest)
})
