import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { EnvironmentFileError } from '../../common/environment-file-error.ts'
import { loadSpec, lockSpec, notesOn } from '../../service/interpreter/formats.ts'
import { allowsMinor, allowsPython } from '../../service/policy/python-range.ts'
import { codeFiles } from '../support/code-files.ts'
import { exampleProbe } from '../support/probe.ts'

/** Projects of uv and others with a pyproject.toml, as far as nobody is asked. */

const load = (files: Record<string, string | Buffer>, interpreter = 'uv.lock') =>
  loadSpec(codeFiles(files), { interpreter })

async function refused(files: Record<string, string | Buffer>, interpreter?: string): Promise<EnvironmentFileError> {
  return load(files, interpreter).then(
    () => assert.fail('loaded'),
    (error) => {
      assert.equal(error.name, 'EnvironmentFileError', error.stack)
      assert.notEqual(error.hint, '')
      return error
    },
  )
}

const LOCK = 'version = 1\nrequires-python = ">=3.9"\n'
const PROJECT = '[project]\nname = "wood"\nversion = "1"\n'

describe('the files of a project', () => {
  test('members of the workspace and what is depended on by path, none that is left out', async () => {
    const spec = await load({
      'uv.lock': `${LOCK}\n[[package]]\nname = "far"\nsource = { directory = "libs/far" }\n`,
      'pyproject.toml': `${PROJECT}[tool.uv.workspace]\nmembers = ["packages/*"]\nexclude = ["packages/old"]\n`,
      'packages/a/pyproject.toml': `${PROJECT}[tool.uv.sources]\nnear = { path = "../../libs/near" }\n`,
      'packages/old/pyproject.toml': PROJECT,
      'libs/near/pyproject.toml': PROJECT,
      'libs/far/pyproject.toml': PROJECT,
      'other/pyproject.toml': PROJECT,
    })
    assert.deepEqual(Object.keys(spec.files).sort(), [
      'libs/far/pyproject.toml',
      'libs/near/pyproject.toml',
      'packages/a/pyproject.toml',
      'pyproject.toml',
      'uv.lock',
    ])
    assert.equal(spec.requiresPython, '>=3.9')
  })

  test('in a sub-folder', async () => {
    const spec = await load({ 'py/uv.lock': LOCK, 'py/pyproject.toml': PROJECT }, 'py/uv.lock')
    assert.deepEqual(Object.keys(spec.files).sort(), ['py/pyproject.toml', 'py/uv.lock'])
  })
})

describe('what is wrong with a file', () => {
  for (const [what, files, interpreter, place, message, hint] of [
    ['no lock', { 'pyproject.toml': PROJECT }, 'uv.lock', 'uv.lock', /no such file/, /uv lock/],
    ['no pyproject.toml', { 'uv.lock': LOCK }, 'uv.lock', 'pyproject.toml', /no such file/, /uv\.lock/],
    ['an empty lock', { 'uv.lock': '\n', 'pyproject.toml': PROJECT }, 'uv.lock', 'uv.lock', /empty/, /uv lock/],
    [
      'no TOML',
      { 'uv.lock': LOCK, 'pyproject.toml': '[project\nname = "x"\n' },
      'uv.lock',
      'pyproject.toml:1',
      /TOML/,
      /TOML/,
    ],
    [
      'not text',
      { 'pyproject.toml': Buffer.from([0x5b, 0xff, 0x5d]) },
      'pyproject.toml',
      'pyproject.toml:1',
      /not UTF-8/,
      /UTF-8/,
    ],
    [
      'a member outside',
      { 'uv.lock': `${LOCK}source = { editable = "../x" }\n`, 'pyproject.toml': PROJECT },
      'uv.lock',
      'uv.lock:3',
      /\.\.\/x lies outside/,
      /release/,
    ],
    [
      'a path outside',
      { 'pyproject.toml': `${PROJECT}[tool.uv.sources]\nx = { path = "/etc" }\n` },
      'pyproject.toml',
      'pyproject.toml:5',
      /\/etc lies outside/,
      /release/,
    ],
    [
      'nothing said',
      { 'pyproject.toml': '[tool.ruff]\n' },
      'pyproject.toml',
      'pyproject.toml',
      /nothing says/,
      /Add a/,
    ],
    ['an empty file', { 'pyproject.toml': '' }, 'pyproject.toml', 'pyproject.toml', /no \[project\]/, /interpreter/],
    [
      'only poetry, without a lock',
      { 'pyproject.toml': '[tool.poetry]\nname = "x"\n' },
      'pyproject.toml',
      'pyproject.toml:1',
      /no poetry\.lock/,
      /poetry lock/,
    ],
    [
      'dynamic dependencies',
      { 'pyproject.toml': `${PROJECT}dynamic = ["dependencies"]\n` },
      'pyproject.toml',
      'pyproject.toml:4',
      /dependencies is dynamic: .* there is no \[build-system\]/,
      /Add the \[build-system\]/,
    ],
    [
      'only poetry, with a lock that was not named',
      { 'py/pyproject.toml': '[tool.poetry]\nname = "x"\n', 'py/poetry.lock': '' },
      'py/pyproject.toml',
      'py/pyproject.toml:1',
      /py\/poetry\.lock is not what was named/,
      /^Name py\/poetry\.lock as "interpreter"\.$/,
    ],
    [
      'a path as a requirement',
      { 'pyproject.toml': `${PROJECT}dependencies = ["y @ file:../y"]\n` },
      'pyproject.toml',
      'pyproject.toml:4',
      /y @ file:\.\.\/y: a requirement may name a URL here, and no path/,
      /\[tool\.uv\.sources\] where it is: y = \{ path =/,
    ],
    [
      'a path of the machine as a requirement of an extra',
      {
        'pyproject.toml': `${PROJECT}[project.optional-dependencies]\nx = [\n  "x @ file:///etc/x-1-py3-none-any.whl",\n]\n`,
        'etc/x-1-py3-none-any.whl': '',
      },
      'pyproject.toml',
      'pyproject.toml:6',
      /x @ file:\/\/\/etc\/x-1-py3-none-any\.whl: a requirement may name a URL here, and no path/,
      /\[tool\.uv\.sources\]/,
    ],
    [
      'dependencies that are no list',
      { 'pyproject.toml': `${PROJECT}dependencies = "idna"\n` },
      'pyproject.toml',
      'pyproject.toml:4',
      /project\.dependencies is not a list/,
      /list of strings/,
    ],
    [
      'extras that are no table',
      { 'pyproject.toml': `${PROJECT}optional-dependencies = ["pytest"]\n` },
      'pyproject.toml',
      'pyproject.toml:4',
      /project\.optional-dependencies is not a table/,
      /\[project\.optional-dependencies\], and below it .* a list for each name/,
    ],
    [
      'groups that are no table',
      { 'pyproject.toml': `dependency-groups = ["pytest"]\n${PROJECT}` },
      'pyproject.toml',
      'pyproject.toml:1',
      /dependency-groups is not a table/,
      /a list for each name/,
    ],
    [
      'a Python that is a number',
      { 'uv.lock': LOCK, 'pyproject.toml': `${PROJECT}requires-python = 3.12\n` },
      'uv.lock',
      'pyproject.toml:4',
      /project\.requires-python is no text/,
      /in quotes: requires-python = "/,
    ],
    [
      'groups of a uv before groups that are no list',
      { 'uv.lock': LOCK, 'pyproject.toml': `${PROJECT}[tool.uv]\ndev-dependencies = true\n` },
      'uv.lock',
      'pyproject.toml:5',
      /tool\.uv\.dev-dependencies is not a list/,
      /list of strings/,
    ],
    [
      'settings of uv that are no TOML',
      { 'uv.lock': LOCK, 'pyproject.toml': PROJECT, 'uv.toml': 'offline = \n' },
      'uv.lock',
      'uv.toml:1',
      /TOML/,
      /TOML/,
    ],
  ] as const) {
    test(what, async () => {
      const error = await refused(files, interpreter)
      assert.ok(error.message.startsWith(`${place}: `), error.message)
      assert.match(error.message, message)
      assert.match(error.hint, hint)
    })
  }
})

test('groups that a project without a lock leaves out are said', async () => {
  const text = `${PROJECT}[dependency-groups]\ndev = ["pytest"]\nLint = ["ruff"]\n`
  const notes = async (groups?: string[]) => {
    const request = { interpreter: 'pyproject.toml', ...(groups && { groups }) }
    return notesOn(await loadSpec(codeFiles({ 'pyproject.toml': text }), request))
  }
  assert.deepEqual(await notes(['lint']), [
    'without a lock no group is installed by default: name dev with the input "groups"',
  ])
  assert.deepEqual(await notes(['lint', 'dev']), [])
})

test('UTF-16, as PowerShell writes it, is read', async () => {
  const text = Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(PROJECT.replaceAll('\n', '\r\n'), 'utf16le')])
  assert.equal((await load({ 'pyproject.toml': text }, 'pyproject.toml')).files['pyproject.toml'], PROJECT)
})

test('a base whose Python the files do not allow is refused before anything is asked', async () => {
  const project = `${PROJECT}requires-python = ">=3.12"\n`
  const spec = await load({ 'pyproject.toml': project }, 'pyproject.toml')
  await assert.rejects(
    lockSpec(spec, exampleProbe, () => assert.fail('asked')),
    /^ResolutionFailed: pyproject\.toml:4: it needs Python >=3\.12, and this base has 3\.11\.2/,
  )
})

test('Python versions that a specifier allows', () => {
  for (const [specifier, version, allowed] of [
    ['>=3.9', '3.11.2', true],
    ['>=3.11.3', '3.11.2', false],
    ['>3.11', '3.11.2', true],
    ['<3.11', '3.11.0', false],
    ['<=3.11', '3.11.2', false],
    ['==3.11.*', '3.11.2', true],
    ['==3.11.2', '3.11.2', true],
    ['!=3.11.*', '3.11.2', false],
    ['~=3.9', '3.13.1', true],
    ['~=3.9.0', '3.11.2', false],
    ['>=3.9,<4', '3.13.1', true],
    ['', '3.13.1', true],
    ['what?', '3.13.1', true],
  ] as const) {
    assert.equal(allowsPython(specifier, version), allowed, `${specifier} ${version}`)
  }
  assert.ok(allowsMinor('>=3.11.4', '3.11') && allowsMinor('>=3.14', '3.14'))
  assert.ok(!allowsMinor('<=3.11', '3.11') && !allowsMinor('>=3.12', '3.11'))
})
