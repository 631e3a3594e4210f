import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CondaPlatform } from '../../common/conda-files.ts'
import { InterpreterRequest } from '../../common/contract.ts'
import type { EnvironmentFileError } from '../../common/environment-file-error.ts'
import { condaPlatform } from '../../service/interpreter/conda.ts'
import { loadSpec, locate, lockSpec, notesOn } from '../../service/interpreter/formats.ts'
import type { Artifact } from '../../service/interpreter/lock.ts'
import type { Resolve } from '../../service/interpreter/resolution.ts'
import { codeFiles } from '../support/code-files.ts'
import { exampleProbe } from '../support/probe.ts'

const CHANNEL = 'https://conda.example.com/ours'
const PYTHON = `${CHANNEL}/linux-64/python-3.11.7-h1_0.conda`
const HASH = 'a'.repeat(64)

const load = (files: Record<string, string | Buffer>, interpreter: string) =>
  loadSpec(codeFiles(files), InterpreterRequest.parse({ interpreter }))
const unasked: Resolve = async () => assert.fail('nobody is to be asked')
const lock = async (files: Record<string, string>, interpreter: string) =>
  await lockSpec(await load(files, interpreter), exampleProbe, unasked)

test('an explicit list is taken as it is, whatever it is called', async () => {
  const text = `# platform: linux-64\r\n@EXPLICIT\r\n${PYTHON}#sha256:${HASH}\r\n${CHANNEL}/noarch/a-1-py_0.conda#${'b'.repeat(32)}\r\n`
  for (const name of ['conda-linux-64.lock', 'spec-file.txt']) {
    const { artifacts, conda } = await lock({ [name]: text }, name)
    assert.deepEqual(
      artifacts.map((artifact) => [artifact.name, artifact.kind, artifact.sha256, artifact.md5]),
      [
        ['a', 'conda', undefined, 'b'.repeat(32)],
        ['python', 'conda', HASH, undefined],
      ],
    )
    assert.deepEqual(conda, { subdir: 'linux-64', variables: {}, pip: [] })
  }
})

const WHEEL = 'https://files.example.com/md-2.0-py3-none-any.whl'
const COMMIT = 'c'.repeat(40)
const TOOL = `git+https://git.example.com/o/tool.git@${COMMIT}`

const PIP_LINES: [line: string, expected: Partial<Artifact>][] = [
  [`md @ ${WHEEL}`, { kind: 'wheel', version: '2.0', url: WHEEL }],
  [`md @ ${WHEEL}#sha256=${HASH.toUpperCase()}`, { kind: 'wheel', sha256: HASH }],
  [`md @ ${WHEEL}#md5=${'b'.repeat(32)}`, { kind: 'wheel', md5: 'b'.repeat(32), url: WHEEL }],
  [
    'md @ https://git.example.com/o/md/archive/v1.0.tar.gz',
    { kind: 'sdist', url: 'https://git.example.com/o/md/archive/v1.0.tar.gz' },
  ],
  [`tool @ ${TOOL}`, { kind: 'vcs', commit: COMMIT, url: 'https://git.example.com/o/tool.git' }],
  [`tool @ ${TOOL}#sha256=${COMMIT}`, { kind: 'vcs', commit: COMMIT }],
  [`tool @ ${TOOL}#subdirectory=Sub`, { kind: 'vcs', commit: COMMIT, subdirectory: 'Sub' }],
]
for (const [line, expected] of PIP_LINES)
  test(`a package of pip in an explicit list: ${line}`, async () => {
    const { artifacts, text } = await lock({ 'x.txt': `@EXPLICIT\n${PYTHON}\n# pip ${line}\n` }, 'x.txt')
    const found = artifacts.find(({ kind }) => kind !== 'conda')
    assert.partialDeepStrictEqual(found, { name: line.split(' ', 1)[0], ...expected })
    assert.equal(found?.sha256, expected.sha256)
    // What is kept says the same.
    const again = await lock({ 'x.txt': text }, 'x.txt')
    assert.deepEqual(again.artifacts, artifacts)
  })

test('what pip has to ask an index for is resolved on top of the list, each line where it was', async () => {
  const lines = [
    ...['six === 1.16.0', `md @ ${WHEEL}#sha256=${HASH}`, 'tool @ git+https://git.example.com/o/tool@v1'],
    'main @ https://git.example.com/o/main/archive/main.zip',
  ]
  const text = ['@EXPLICIT', PYTHON, ...lines.map((line) => `# pip ${line}`), ''].join('\n')
  const spec = await load({ 'x.txt': text }, 'x.txt')
  const { artifacts, conda } = await lockSpec(spec, exampleProbe, unasked)
  assert.deepEqual([artifacts.map(({ name }) => name), conda?.pip], [['python'], lines])
  assert.equal(spec.files['x.txt.pip.txt'], `\n\n${lines.join('\n')}\n`)
  assert.deepEqual(locate(spec, 'six'), { file: 'x.txt', line: 3 })
})

test('what conda brings as well is for the resolver', async () => {
  const { conda } = await lock({ 'x.txt': `@EXPLICIT\n${PYTHON}\n# pip python @ ${WHEEL}\n` }, 'x.txt')
  assert.deepEqual(conda?.pip, [`python @ ${WHEEL}`])
})

const BAD_LISTS: [what: string, text: string, message: RegExp][] = [
  ['empty', '', /^conda-x\.lock: it is empty$/],
  ['without its mark', `${PYTHON}\n`, /no line @EXPLICIT$/],
  ['a line that is no URL', `@EXPLICIT\nnumpy=1\n`, /^conda-x\.lock:2: numpy=1 is no URL/],
  ['a hash that is none', `@EXPLICIT\n${PYTHON}#123\n`, /^conda-x\.lock:2: #123 is neither an md5 nor a sha256/],
  ...[
    [`md @ ${WHEEL}#sha256=zz`, /^# pip md: #sha256=zz is no sha256$/] as const,
    [`md @ ${WHEEL}#sha256=${COMMIT}`, /^# pip md: #sha256=c+ is no sha256$/] as const,
    [`md @ ${WHEEL}#md5=${HASH}`, /^# pip md: #md5=a+ is no md5$/] as const,
    [`md @ ${WHEEL}#${HASH}`, /^# pip md: #a+ is neither a sha256, an md5 nor a subdirectory$/] as const,
    [`tool @ ${TOOL}#sha256=${'d'.repeat(40)}`, /^# pip tool: #sha256=d+ is no sha256$/] as const,
    ['md @ http://files.example.com/md', /^pip: md: http:\S+\/md is not an https: URL$/] as const,
    ['md @ ./md', /^pip: \.\/md: there is no such file in the repository/] as const,
    ['md', /^# pip md: this is neither NAME @ URL nor NAME==VERSION$/] as const,
    ['installs the rest later', /^# pip installs the rest later: this is neither/] as const,
    ['six >=1', /^# pip six >=1: this is neither/] as const,
    ['six === 1.0 --hash=sha256:aa', /^pip: --hash sha256:aa has 2 hex digits$/] as const,
    ['--no-such-option', /^pip: --no-such-option: this option is not supported$/] as const,
    [`md @ ${WHEEL}\n# pip MD==1`, /^md is listed on line 3 already$/, 4] as const,
  ].map(([line, message, at = 3]): [string, string, RegExp] => [
    `# pip ${line}`,
    `@EXPLICIT\n${PYTHON}\n# pip ${line}\n`,
    new RegExp(`^conda-x\\.lock:${at}: ${message.source.slice(1)}`),
  ]),
  ['twice the same', `@EXPLICIT\n${PYTHON}\n\n${PYTHON}\n`, /^conda-x\.lock:4: python is listed on line 2 already/],
]
for (const [what, text, message] of BAD_LISTS)
  test(`an explicit list is refused: ${what}`, async () => {
    const error = { name: 'EnvironmentFileError', message, hint: /./ }
    await assert.rejects(load({ 'conda-x.lock': text }, 'conda-x.lock'), error)
  })

test('addresses with credentials are refused, as they would be shown and kept; and are not shown', async () => {
  const lock = LOCKED.replace(PYTHON, PYTHON.replace('//', '//user:secret@'))
  const pipLock = (url: string) => LOCKED.replace(/'https[^']*six[^']*'/, `'${url}'`).replace('docs', 'main')
  const list = (line: string) => `@EXPLICIT\n${PYTHON}\n# pip ${line}\n`
  for (const [path, text, line] of [
    ['conda-x.lock', '@EXPLICIT\nhttps://user:secret@example.com/linux-64/x-1-0.conda\n', 2],
    ['conda-x.lock', '@EXPLICIT\nhttps://example.com/t/secret/ours/linux-64/x-1-0.conda\n', 2],
    ['conda-x.lock', list('six @ https://user:secret@example.com/six-1-py3-none-any.whl'), 3],
    ['conda-x.lock', list('six @ https://secret@example.com/six-1-py3-none-any.whl#sha256=zz'), 3],
    ['conda-x.lock', list('six @ https://user:secret@example.com/nothing'), 3],
    ['conda-x.lock', list(`tool @ git+https://user:secret@example.com/tool@${COMMIT}`), 3],
    ['conda-x.lock', list('tool @ git+ssh://user:secret@example.com/tool@v1'), 3],
    ['conda-x.lock', list('--extra-index-url https://user:secret@example.com/simple'), 3],
    ['environment.yml', 'channels:\n- https://user:secret@example.com/ours\ndependencies: [python]\n', 2],
    ['environment.yml', 'dependencies: [python, "https://example.com/t/secret/ours::x"]\n', 1],
    ['environment.yml', 'dependencies: [python, "https://user:secret@example.com/ours/noarch/x-1-0.conda"]\n', 1],
    ['conda-lock.yml', lock, 4],
    ['conda-lock.yml', pipLock('https://user:secret@example.com/six-1-py3-none-any.whl'), 6],
    ['conda-lock.yml', pipLock(`git+https://user:secret@example.com/six@${COMMIT}`), 6],
  ] as const)
    await assert.rejects(
      async () => await lockSpec(await load({ [path]: text }, path), exampleProbe, unasked),
      (error: EnvironmentFileError) => {
        assert.deepEqual([error.name, error.line], ['EnvironmentFileError', line])
        assert.match(error.message, /user name(?:,| or) password/)
        assert.doesNotMatch(`${error.message} ${error.hint}`, /secret/)
        return true
      },
    )
})

test('a list of another platform is refused before anything is asked', async () => {
  const text = `@EXPLICIT\n${CHANNEL}/noarch/a-1-py_0.conda\n${CHANNEL}/osx-arm64/python-3.11.7-h1_0.conda\n`
  await assert.rejects(lock({ 'conda-x.lock': text }, 'conda-x.lock'), {
    name: 'ResolutionFailed',
    message: /^conda-x\.lock:3: it was made for osx-arm64 and can't be installed on linux-64, .*: python 3\.11\.7$/,
    hint: /environment-linux\.yml/,
  })
})

test('of the lists of all platforms the one of this is taken, whichever is named', async () => {
  const text = `@EXPLICIT\n${PYTHON}\n`
  const files = { 'conda-linux-64.lock': text, 'conda-linux-aarch64.lock': text, 'conda-osx-arm64.lock': text }
  const taken = async (interpreter: string, platform: CondaPlatform) =>
    (await loadSpec(codeFiles(files), InterpreterRequest.parse({ interpreter }), { platform })).path
  assert.equal(await taken('conda-linux-64.lock', 'linux-aarch64'), 'conda-linux-aarch64.lock')
  assert.equal(await taken('conda-linux-aarch64.lock', 'linux-64'), 'conda-linux-64.lock')
  assert.equal(await taken('conda-osx-arm64.lock', 'linux-64'), 'conda-osx-arm64.lock')
  assert.deepEqual(['linux/amd64', 'linux/arm64', 'linux/arm64/v8'].map(condaPlatform), [
    'linux-64',
    'linux-aarch64',
    'linux-aarch64',
  ])
})

test('an environment without python is refused', async () => {
  const text = `@EXPLICIT\n${CHANNEL}/noarch/a-1-py_0.conda\n`
  await assert.rejects(lock({ 'conda-x.lock': text }, 'conda-x.lock'), { message: /has no python/ })
})

const LOCKED = `version: 1
metadata: {platforms: [linux-64, osx-arm64]}
package:
- {name: python, version: 3.11.7, manager: conda, platform: linux-64, dependencies: {}, url: ${PYTHON}, hash: {md5: ${'b'.repeat(32)}, sha256: ${HASH}}, category: main, optional: false}
- {name: python, version: 3.11.7, manager: conda, platform: osx-arm64, dependencies: {}, url: ${PYTHON.replace('linux-64', 'osx-arm64')}, hash: {sha256: ${HASH}}, category: main, optional: false}
- {name: six, version: 1.16.0, manager: pip, platform: linux-64, dependencies: {}, url: 'https://files.example.com/six-1.16.0-py2.py3-none-any.whl', hash: {sha256: ${HASH}}, category: docs, optional: true}
`

test('conda-lock.yml: the packages of the platform, in the categories that are asked for', async () => {
  const names = async (groups?: string[], without?: string[]) => {
    const request = InterpreterRequest.parse({ interpreter: 'conda-lock.yml', groups, 'without-groups': without })
    const spec = await loadSpec(codeFiles({ 'conda-lock.yml': LOCKED }), request)
    return (await lockSpec(spec, exampleProbe, unasked)).artifacts.map(({ name, kind }) => `${name} ${kind}`)
  }
  assert.deepEqual(await names(), ['python conda'])
  assert.deepEqual(await names(['docs']), ['python conda', 'six wheel'])
  assert.deepEqual(await names(['docs'], ['docs']), ['python conda'])
  await assert.rejects(names(undefined, ['nope']), { message: /groups: there is no nope/ })
  await assert.rejects(names(['nope']), { message: /groups: there is no nope/ })
})

test('packages of pip in a lock: a wheel, a source, a repository; not what lies on one machine', async () => {
  const commit = 'c'.repeat(40)
  const pip = (name: string, url: string, hash: string) =>
    `- {name: ${name}, version: '1.0', manager: pip, platform: linux-64, dependencies: {}, url: '${url}', hash: ${hash}, category: main, optional: false}\n`
  const of = async (more: string) => (await lock({ 'conda-lock.yml': LOCKED + more }, 'conda-lock.yml')).artifacts
  const found = await of(
    pip('Src', 'https://files.example.com/src-1.0.tar.gz', `{sha256: ${HASH}}`) +
      pip('tool', `git+https://git.example.com/o/tool.git@${commit}`, `{sha256: ${commit}}`),
  )
  assert.deepEqual(
    found.map(({ name, kind, sha256, commit }) => [name, kind, sha256 ?? commit]),
    [
      ['python', 'conda', HASH],
      ['src', 'sdist', HASH],
      ['tool', 'vcs', commit],
    ],
  )
  await assert.rejects(of(pip('own', 'file:///home/me/own', '{}')), {
    message: /^conda-lock\.yml:7: own: file:\/\/\/home\/me\/own is not to be had from another machine$/,
  })
  const list = `@EXPLICIT\n${PYTHON}#${HASH}\n# pip Six @ https://files.example.com/six-1.16.0-py3-none-any.whl#sha256=${HASH}\n`
  const { artifacts } = await lock({ 'conda-x.lock': list }, 'conda-x.lock')
  assert.deepEqual(
    artifacts.map(({ name, version, kind, sha256 }) => [name, version, kind, sha256]),
    [
      ['python', '3.11.7', 'conda', HASH],
      ['six', '1.16.0', 'wheel', HASH],
    ],
  )
})

test('conda-lock.yml: without this platform', async () => {
  const mac = LOCKED.replaceAll('platform: linux-64', 'platform: osx-64')
  await assert.rejects(lock({ 'conda-lock.yml': mac }, 'conda-lock.yml'), { message: /made for osx-64, osx-arm64 and/ })
})

const ANEW = /^Make it anew: conda-lock lock /
const BAD_LOCKS: [what: string, text: string, message: string, hint?: RegExp][] = [
  ['nothing but a comment', '# nothing\n', ': it is empty'],
  ['no YAML', 'version: 1\npackage: [\n', ':3: is no YAML: Flow sequence in block collection must be sufficiently'],
  ['an alias to nothing', 'version: 1\npackage: *all\n', ': is no YAML: Unresolved alias'],
  ['a text', 'conda-lock\n', ':1: it must be a mapping with "version: 1" and "package:"'],
  ['a list', '# made\n- version: 1\n', ':2: it must be a mapping with "version: 1" and "package:"'],
  ['another version', LOCKED.replace('version: 1', 'version: 2'), ':1: version: it must be 1, as conda-lock writes it'],
  [
    'a lock of pixi',
    'version: 6\nenvironments: {default: {}}\npackages: []\n',
    ':1: version: it must be 1, as conda-lock writes it',
    /^It is a lock of pixi: "pixi workspace export conda-explicit-spec \."/,
  ],
  ['no version', LOCKED.replace('version: 1\n', ''), ':1: version: it is missing'],
  ['no packages', 'version: 1\n', ':1: package: it is missing'],
  ['packages that are no list', 'version: 1\npackage:\n  six: 1\n', ':3: package: it must be a list of packages'],
  ['a package that is none', `${LOCKED}- six\n`, ':7: package 4: it must be a mapping'],
  ['a hash that is none', LOCKED.replace(`: ${HASH}`, ': abc'), ':4: python: hash.sha256: it must be 64 hex digits'],
  ['an md5 that is none', LOCKED.replace(/md5: b/, 'md5: x'), ':4: python: hash.md5: it must be 32 hex digits'],
  ['no hash', LOCKED.replace(/hash: \{md5[^}]*\}, /, ''), ':4: python: hash: it is missing'],
  ['no name', LOCKED.replace('name: six, ', ''), ':6: package 3: name: it is missing'],
  ['a version that is a number', LOCKED.replace('1.16.0', '1.16'), ':6: six: version: it must be text (in quotes'],
  ['another manager', LOCKED.replace('manager: pip', 'manager: npm'), ':6: six: manager: it must be conda or pip'],
]
for (const [what, text, message, hint = ANEW] of BAD_LOCKS)
  test(`a conda-lock.yml is refused by line and field: ${what}`, async () => {
    await assert.rejects(load({ 'conda-lock.yml': text }, 'conda-lock.yml'), (error: EnvironmentFileError) => {
      assert.equal(error.name, 'EnvironmentFileError', error.stack)
      assert.equal(error.message.slice(0, `conda-lock.yml${message}`.length), `conda-lock.yml${message}`)
      assert.match(error.hint, hint)
      return true
    })
  })

const SOURCED = LOCKED.replace('metadata: {', 'metadata: {sources: [environment.yml, ../pyproject.toml], ')
const from = (environment: string, text = SOURCED) => ({ 'ci/conda-lock.yml': text, 'ci/environment.yml': environment })

test('a conda-lock.yml that is older than its environment.yml is refused, by the line that was added', async () => {
  const older = from('dependencies:\n  - python=3.11\n  - conda-forge::NumPy >=2\n')
  await assert.rejects(lock(older, 'ci/conda-lock.yml'), {
    name: 'ResolutionFailed',
    message:
      'ci/environment.yml:3: conda-forge::NumPy >=2: ci/conda-lock.yml has no such package, so it is older than this file',
    hint: 'Run "conda-lock lock --lockfile ci/conda-lock.yml" and commit ci/conda-lock.yml.',
  })
  for (const [environment, place, has] of [
    ['dependencies: [python=3.12]\n', '1: python=3.12', '3.11.7'],
    ['dependencies:\n  - python >=3.12,<4\n', '2: python >=3.12,<4', '3.11.7'],
    ['dependencies:\n  - python==3.11.8\n', '2: python==3.11.8', '3.11.7'],
    ['dependencies:\n  - pip:\n    - six==1.17.0\n', '3: six==1.17.0', '1.16.0'],
  ] as const) {
    const message = `ci/environment.yml:${place}: ci/conda-lock.yml has ${has}, so it is older than this file`
    await assert.rejects(lock(from(environment), 'ci/conda-lock.yml'), { message })
  }
  for (const [what, environment] of [
    [
      'the version that is there',
      'dependencies: [python=3.11, "python >=3.9,<3.12", python==3.11.7, {pip: [six>=1.16]}]\n',
    ],
    ['a version that is no plain number', 'dependencies: ["python 3.12|3.11.*", python=3.11.7=h1_0]\n'],
    ['a line for another platform', 'dependencies:\n  - python\n  - pywin32  # [win]\n'],
    ['a category that was not locked', 'category: docs\ndependencies: [python, sphinx]\n'],
    ['what conda-lock does not read', 'dependencies: [python, {sel(linux): [libx]}]\n'],
  ] as const) {
    const text = SOURCED.replace(/^.*category: docs.*\n/m, '')
    const { artifacts } = await lock(from(environment, text), 'ci/conda-lock.yml')
    assert.equal(artifacts.length, 1, what)
  }
  await assert.rejects(load(from('dependencies: [\n'), 'ci/conda-lock.yml'), {
    message: /^ci\/environment\.yml:2: is no/,
  })
})

test('what a conda-lock.yml has too much, or too little for pip, is said', async () => {
  const notes = async (environment: string, sources = '[environment.yml]') => {
    const text = LOCKED.replace('metadata: {', `metadata: {sources: ${sources}, `)
    return notesOn(await load(from(environment, text), 'ci/conda-lock.yml'))
  }
  assert.deepEqual(await notes('dependencies: [python, {pip: [six==1.16, "pywin32; os_name == 1"]}]\n'), [])
  const fix =
    'If it is older than that: Run "conda-lock lock --lockfile ci/conda-lock.yml" and commit ci/conda-lock.yml.'
  assert.deepEqual(await notes('dependencies:\n  - pip:\n    - six\n    - Rich>=13\n'), [
    `ci/conda-lock.yml has nothing of that name: rich of ci/environment.yml:4. ${fix}`,
    `ci/conda-lock.yml has what environment.yml does not ask for: python. ${fix}`,
  ])
  // Who else asks for it is not known.
  assert.deepEqual(await notes('dependencies: []\n', '[environment.yml, pyproject.toml]'), [])
})
