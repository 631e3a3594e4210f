import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { InterpreterRequest } from '../../common/contract.ts'
import { loadSpec } from '../../service/interpreter/formats.ts'
import type { Lock } from '../../service/interpreter/lock.ts'
import { STEP, testBase } from '../support/builder.ts'
import { codeFiles } from '../support/code-files.ts'
import { ASK, refusal, resolving } from '../support/resolving.ts'

/** pyproject.toml without a lock, through the real resolver. */

const { parts, base, probe, resolve: resolveFiles } = await resolving('pyproject.toml')

const PYPROJECT = `[project]
name = "wood"
dynamic = ["version"]
requires-python = ">=3.9"
dependencies = [
  "idna==3.7",
  "colorama ; sys_platform == 'win32'",
]

[project.optional-dependencies]
fast = ["six==1.16.0"]
all = ["wood[fast]", "attrs"]

[dependency-groups]
dev = ["iniconfig==2.0.0"]
lint = ["toolz", { include-group = "dev" }]
`

async function resolve(
  code: string | Record<string, string>,
  request: Partial<InterpreterRequest> = {},
): Promise<Lock> {
  const { interpreter = 'pyproject.toml' } = request
  return await resolveFiles(typeof code === 'string' ? { [interpreter]: code } : code, request)
}

const names = ({ artifacts }: Lock) => artifacts.map(({ name }) => name)

test('dependencies alone, extras that name others, groups that include others', async () => {
  const plain = await resolve(PYPROJECT)
  assert.deepEqual([names(plain), plain.unpinned], [['idna'], []])
  const more = await resolve(PYPROJECT, { groups: ['lint'], extras: ['all'] })
  assert.deepEqual(names(more), ['attrs', 'idna', 'iniconfig', 'six', 'toolz'])
  assert.deepEqual(more.unpinned, ['attrs', 'toolz'])
  assert.ok(more.requirements.some(({ file, line, text }) => `${file}:${line} ${text}` === 'pyproject.toml:16 toolz'))
})

test('in a sub-folder, and groups without a project', async () => {
  const there = await resolve(PYPROJECT, { interpreter: 'py/pyproject.toml', groups: ['dev'] })
  assert.deepEqual(names(there), ['idna', 'iniconfig'])
  const groups = await resolve('[dependency-groups]\ndev = ["six==1.16.0"]\n', { groups: ['dev'] })
  assert.deepEqual(names(groups), ['six'])
})

test('the project itself, where it is a package, and what it depends on by path', async () => {
  const build = '[build-system]\nrequires = ["setuptools"]\n'
  const local = PYPROJECT.replace('"idna==3.7",', '"idna==3.7",\n  "elm",')
  const files = {
    'py/pyproject.toml': `${local}[tool.uv.sources]\nelm = { path = "../libs/elm", editable = true }\n${build}`,
    'libs/elm/pyproject.toml': `[project]\nname = "elm"\nversion = "2"\ndependencies = ["six"]\n${build}`,
  }
  const lock = await resolve(files, { interpreter: 'py/pyproject.toml' })
  const found = lock.artifacts.map(({ name, kind, path, editable }) => [name, kind, path, editable])
  assert.deepEqual(found, [
    ['elm', 'directory', 'libs/elm', true],
    ['idna', 'wheel', undefined, undefined],
    ['six', 'wheel', undefined, undefined],
    ['wood', 'directory', 'py', true],
  ])
  const virtual = { ...files, 'py/pyproject.toml': `${files['py/pyproject.toml']}[tool.uv]\npackage = false\n` }
  assert.deepEqual(names(await resolve(virtual, { interpreter: 'py/pyproject.toml' })), ['elm', 'idna', 'six'])
})

test('TOML as uv takes it, and Python does not yet', async () => {
  const files = {
    'pyproject.toml': `${PYPROJECT.replace('"idna==3.7"', '"oak"')}[tool.uv.sources]\noak = {\n  path = "oak",\n}\n`,
    'oak/pyproject.toml': '[project]\nname = "oak"\nversion = "1"\ndependencies = ["six==1.16.0"]\n',
  }
  assert.deepEqual(names(await resolve(files)), ['oak', 'six'])
})

test('a release that was yanked is taken where it is asked for, and said', async () => {
  const lines: string[] = []
  const spec = await loadSpec(codeFiles({ 'pyproject.toml': PYPROJECT.replace('"idna==3.7"', '"attrs==21.1.0"') }), {
    interpreter: 'pyproject.toml',
  })
  const report = (line: string) => void lines.push(line)
  const { artifacts } = await parts.builder.resolve(base, spec, probe, { ...ASK, report })
  assert.deepEqual(
    artifacts.map(({ version }) => version),
    ['21.1.0'],
  )
  assert.ok(
    lines.some((line) => /attrs==21\.1\.0.* is yanked \(reason: /.test(line)),
    lines.join(),
  )
})

describe('what cannot be had', () => {
  for (const [what, from, to, line, message, hint] of [
    ['a typing error', '"idna==3.7"', '"idna=3.7"', 6, /asks for 'idna=3\.7': /, /looks like/],
    [
      'a package that is not there',
      '"idna==3.7"',
      '"meadow-run-no-such"',
      6,
      /was not found in the package registry/,
      /spelling/,
    ],
    ['a version that is not there', '"idna==3.7"', '"idna==999"', 6, /there is no version of idna==999/, /released/],
    [
      'files for other systems only',
      '"idna==3.7"',
      '"pywin32==308"',
      6,
      /platform tag|platform/,
      /wheel for this platform|sys_platform/,
    ],
  ] as const) {
    test(what, async () => {
      const error = await refusal(resolve(PYPROJECT.replace(from, to)))
      assert.match(error.message, message)
      assert.equal(error.line, line, error.message)
      assert.match(error.hint, hint)
    })
  }

  test('a version that has nothing for this Python', async () => {
    const old = await testBase('3.9')
    const itsProbe = await parts.builder.probe(old, STEP)
    const files = { 'pyproject.toml': PYPROJECT.replace('"idna==3.7"', '"numpy==2.3.0"') }
    const spec = await loadSpec(codeFiles(files), { interpreter: 'pyproject.toml' })
    const error = await refusal(parts.builder.resolve(old, spec, itsProbe, ASK))
    assert.equal(error.line, 6)
    assert.match(error.message, /numpy==2\.3\.0[\s\S]*Python>=3\.11/)
    assert.match(error.hint, /python-version/)
  })

  test('groups that include each other', async () => {
    const text = '[dependency-groups]\na = [{ include-group = "b" }]\nb = [{ include-group = "a" }]\n'
    const error = await refusal(resolve({ 'pyproject.toml': text }, { groups: ['a'] }))
    assert.match(error.message, /cycle[\s\S]*`a` -> `b` -> `a`/)
  })

  test('an extra and a group that it does not have', async () => {
    assert.match((await refusal(resolve(PYPROJECT, { extras: ['slow'] }))).message, /extra not found: slow/)
    const group = await refusal(resolve(PYPROJECT, { groups: ['docs'] }))
    assert.match(group.message, /group 'docs' was not found/)
    assert.match(group.hint, /Name a group or extra/)
  })

  test('a Python that it does not allow', async () => {
    const error = await refusal(resolve(PYPROJECT.replace('>=3.9', '>=3.13')))
    assert.match(error.message, /^pyproject\.toml:4: it needs Python >=3\.13, and this base has 3\.11/)
  })
})
