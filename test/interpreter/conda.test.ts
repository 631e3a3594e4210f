import assert from 'node:assert/strict'
import { test } from 'node:test'
import { InterpreterRequest } from '../../common/contract.ts'
import { channelUrls } from '../../service/builder/conda-channels.ts'
import { condaProbe, condaTarget, parseCondaUrl } from '../../service/interpreter/conda.ts'
import { isExact, specChannel, specName, withoutSubdir } from '../../service/interpreter/conda-spec.ts'
import { condaPip, namedSources } from '../../service/interpreter/formats/conda-pip.ts'
import { loadSpec, locate, lockSpec, notesOn } from '../../service/interpreter/formats.ts'
import { type Resolve, type ResolveRequest, ResolverRefused } from '../../service/interpreter/resolution.ts'
import { codeFiles } from '../support/code-files.ts'
import { exampleProbe } from '../support/probe.ts'

const CHANNEL = 'https://conda.example.com/ours'
const PYTHON = `${CHANNEL}/linux-64/python-3.11.7-h1_0.conda`
const HASH = 'a'.repeat(64)

const load = (files: Record<string, string | Buffer>, interpreter: string) =>
  loadSpec(codeFiles(files), InterpreterRequest.parse({ interpreter }))

test('a URL of a package is taken apart from its end', () => {
  assert.deepEqual(parseCondaUrl(`${CHANNEL}/noarch/ruamel.yaml-0.18.6-py_0.tar.bz2`), {
    channel: CHANNEL,
    subdir: 'noarch',
    filename: 'ruamel.yaml-0.18.6-py_0.tar.bz2',
    name: 'ruamel.yaml',
    version: '0.18.6',
    build: 'py_0',
  })
  for (const url of [
    '',
    CHANNEL,
    `${CHANNEL}/noarch/a-1.conda`,
    `${CHANNEL}/mars-64/a-1-0.conda`,
    '/noarch/a-1-0.conda',
  ])
    assert.equal(parseCondaUrl(url), undefined, url)
})

const BAD_YAML: [what: string, text: string | Buffer, message: RegExp][] = [
  ['empty', '', /^environment\.yml: it is empty$/],
  ['only a comment', '# nothing\n', /it is empty/],
  ['syntax', 'name: x\ndependencies: [python\n', /^environment\.yml:\d: is no YAML/],
  ['a list', '- python\n', /it is no mapping/],
  ['an unknown key', 'name: x\ndependancies:\n  - python\n', /^environment\.yml:2: dependancies: there is no such key/],
  ['no dependencies', 'name: x\nchannels: [a]\n', /nothing is listed/],
  ['no list', 'dependencies: python\n', /^environment\.yml:1: dependencies: it is no list/],
  [
    'an entry that is none',
    'dependencies:\n  - python\n  - {conda: [a]}\n',
    /^environment\.yml:3: dependencies: an entry/,
  ],
  [
    'a variable that is none',
    'dependencies: [python]\nvariables:\n  "a b": 1\n',
    /^environment\.yml:3: variables: a b/,
  ],
  [
    'a package by its address',
    'dependencies:\n  - python\n  - https://conda.example.com/ours/noarch/x-1-0.conda\n',
    /^environment\.yml:3: https:\S+: a package by its address is for explicit lists$/,
  ],
  ['bytes', Buffer.from([0x61, 0x3a, 0xff, 0x0a]), /^environment\.yml:1: is not UTF-8/],
]
for (const [what, text, message] of BAD_YAML)
  test(`an environment.yml is refused: ${what}`, async () => {
    await assert.rejects(load({ 'environment.yml': text }, 'environment.yml'), {
      name: 'EnvironmentFileError',
      message,
    })
  })

test('a key that means nothing is said, with its line', async () => {
  const text = 'channel_priority: strict\ndependencies:\n  - python\n'
  const spec = await load({ 'environment.yml': text }, 'environment.yml')
  assert.deepEqual(notesOn(spec), ['environment.yml:1: channel_priority is not read: there is no such key'])
})

test('the way out of a platform is one that its file can go', async () => {
  type Way = [file: string, hint: RegExp]
  const ways: Way[] = [
    ['environment.yml', /or make the file on linux-64 and commit it as environment-linux\.yml: it is taken wherever/],
    ...['osx-arm64', 'osx', 'macos', 'darwin', 'win-64', 'windows'].map(
      (system): Way => [
        `environment-${system}.yml`,
        /commit it as environment-linux\.yml: it is taken wherever it lies beside environment-[\w-]+\.yml\.$/,
      ],
    ),
    ['dev-linux.yml', /or make the file on linux-64 and commit it, and name that with the input "interpreter"/],
  ]
  for (const [file, hint] of ways) {
    const spec = await load({ [file]: 'dependencies:\n  - python=3.11.7=hd83a4c7_0\n' }, file)
    const specs = ['python=3.11.7=hd83a4c7_0']
    const elsewhere = { specs, subdir: 'osx-arm64', target: condaTarget(file, exampleProbe), others: [] }
    const refuse = async () => {
      throw new ResolverRefused('platform', 'no candidates', undefined, { elsewhere })
    }
    await assert.rejects(lockSpec(spec, exampleProbe, refuse), { name: 'ResolutionFailed', hint })
  }
})

const FOLDERS = ['./local', '../shared', '.', '~/ch', '/opt/ch', 'C:\\ch', 'file:///opt/ch']
for (const folder of FOLDERS)
  test(`a channel that is a folder is refused by its line: ${folder}`, async () => {
    const refused = async (text: string, line: number) =>
      await assert.rejects(load({ 'environment.yml': text }, 'environment.yml'), {
        name: 'EnvironmentFileError',
        message: `environment.yml:${line}: ${folder}: to conda this channel is a folder, which the service does not have`,
        hint: /^Serve it by https, and name it here by its address or in MEADOW_CONDA_CHANNELS/,
      })
    await refused(`dependencies: [python]\nchannels:\n  - conda-forge\n  - ${folder}\n`, 4)
    await refused(`dependencies:\n  - python\n  - ${folder}::tool=1\n`, 3)
  })

const YAML = `name: x
channels: [ours, nodefaults, defaults]
dependencies:
  - python=3.11
  - other::numpy=2.1.0=py311_0
  - sel(win): [pywin32]
  - sel(linux): [libx]
  - pip:
      - rich==13
      - -r more.txt
variables:
  COUNT: 007
prefix: /home/me/env
`

test('what an environment.yml says is what is asked, in its order', async () => {
  const asked: unknown[] = []
  const spec = await load({ 'environment.yml': YAML, 'more.txt': 'idna\n' }, 'environment.yml')
  const answer: Resolve = async (request) => {
    asked.push('conda' in request ? [request.conda.specs, request.conda.channels] : request)
    const python = {
      name: 'python',
      version: '3.11.7',
      kind: 'conda' as const,
      filename: 'p',
      url: PYTHON,
      sha256: HASH,
    }
    return { text: '', artifacts: [{ ...python, conda: { build: 'h1_0', channel: CHANNEL, subdir: 'linux-64' } }] }
  }
  const { conda, unpinned, requirements } = await lockSpec(spec, exampleProbe, answer)
  assert.deepEqual(asked, [
    [
      ['python=3.11', 'other::numpy=2.1.0=py311_0', 'libx'],
      ['ours', 'defaults', 'other'],
    ],
  ])
  assert.deepEqual(conda, { subdir: 'linux-64', variables: { COUNT: '007' }, pip: ['rich==13', '-r more.txt'] })
  assert.deepEqual(unpinned, ['python'])
  assert.deepEqual(requirements[1], {
    name: 'numpy',
    text: 'other::numpy=2.1.0=py311_0',
    file: 'environment.yml',
    line: 5,
  })
  assert.match(spec.files['environment.yml.pip.txt'] ?? '', /^\n{8}rich==13\n-r more\.txt\n$/)
})

const PIP = (line: string) => `dependencies:\n  - python\n  - pip:\n    - idna\n    - ${line}\n`

test('the pip: section is read as requirements files are, from the folder of the YAML', async () => {
  const lines = ['-e ./sub', '--extra-index-url https://wheels.example.org/simple', './w/a-1-py3-none-any.whl']
  const files = {
    'env/environment.yml': PIP(lines.join('\n    - ')),
    'env/sub/pyproject.toml': '[project]\nname = "sub"\n',
    'env/w/a-1-py3-none-any.whl': 'wheel',
    'w/a-1-py3-none-any.whl': 'another',
  }
  const spec = await load(files, 'env/environment.yml')
  assert.ok('env/sub/pyproject.toml' in spec.files)
  assert.deepEqual(Object.keys(spec.local ?? {}), ['env/w/a-1-py3-none-any.whl'])
  let asked: ResolveRequest | undefined
  const pip = await lockSpec(condaPip.spec(spec), exampleProbe, async (request) => {
    asked = request
    return { text: '', artifacts: [] }
  })
  assert.ok(asked && 'sources' in asked)
  assert.deepEqual(asked.sources?.projects, [{ path: 'env/sub', editable: true }])
  assert.deepEqual(asked.indexes?.extra, ['https://wheels.example.org/simple'])
  assert.deepEqual(pip.requirements[1], { name: 'sub', text: '-e ./sub', file: `${spec.path}.pip.txt`, line: 5 })
  assert.deepEqual(locate(spec, 'sub'), { file: 'env/environment.yml', line: 5 })
})

test('what pip is asked for in place of a release, for this system', async () => {
  const lines = ['x @ git+https://example.org/x ; sys_platform == "win32"', 'y @ git+https://example.org/y']
  const spec = await load({ 'environment.yml': PIP(lines.join('\n    - ')) }, 'environment.yml')
  assert.deepEqual(
    namedSources(condaPip.spec(spec)).map(({ name }) => name),
    ['y'],
  )
})

test('texts of a pip: section that share a line are all of that line', async () => {
  const yaml = (pip: string) =>
    `dependencies:\n- python\n- pip: [${pip}]\npip-repositories: [https://w.example.org/simple]\n`
  const spec = await load({ 'environment.yml': yaml('six, idna, rich') }, 'environment.yml')
  for (const name of ['six', 'idna', 'rich']) assert.deepEqual(locate(spec, name), { file: 'environment.yml', line: 3 })
  const refused = load({ 'environment.yml': yaml('six, ./nowhere') }, 'environment.yml')
  await assert.rejects(refused, { line: 3, message: /^environment\.yml:3: pip: \.\/nowhere: there is no such file/ })
})

test('indexes that conda-lock reads beside what conda does are those of pip', async () => {
  const asked = async (yaml: string) => {
    const spec = await load({ 'environment.yml': yaml }, 'environment.yml')
    return spec.files['environment.yml.pip.txt']
  }
  const indexes = 'pip-repositories: [https://wheels.example.org/simple]\n'
  assert.equal(
    await asked(`${indexes}dependencies: [python, pip: [six]]\n`),
    '--extra-index-url https://wheels.example.org/simple\nsix\n',
  )
  assert.equal(await asked(`${indexes}dependencies: [python]\n`), undefined)
})

const BAD_PIP: [line: string, message: RegExp][] = [
  ['-e ./nowhere', /^environment\.yml:5: pip: \.\/nowhere: there is no such file in the repository/],
  ['-e ../x', /^environment\.yml:5: pip: \.\.\/x leads outside/],
  ['-r more.txt', /^environment\.yml:5: pip: -r more\.txt: there is no more\.txt$/],
  ['-r bad.txt', /^bad\.txt:2: --no-such-option: this option is not supported$/],
  [
    '--index-url https://me:secret@example.org/simple',
    /^environment\.yml:5: pip: --index-url [^@]*: it holds a user name/,
  ],
  ['git+ssh://git@example.org/six.git', /^environment\.yml:5: pip: git\+ssh.*only git\+https: is supported/],
  ['-e ./bad', /^bad\/pyproject\.toml:1: Invalid TOML/],
  [
    '--trusted-host example.org',
    /^environment\.yml:5: pip: --trusted-host example\.org: this option is not supported$/,
  ],
]
for (const [line, message] of BAD_PIP)
  test(`a pip: section is refused by its line: ${line.replace(/\w+@/, '')}`, async () => {
    const bad = { 'bad.txt': 'six\n--no-such-option\n', 'bad/pyproject.toml': '[project\n' }
    const files = { 'environment.yml': PIP(line), ...bad }
    await assert.rejects(load(files, 'environment.yml'), { name: 'EnvironmentFileError', message, hint: /./ })
  })

test('a file for Linux beside the named one is taken in its place, the best first', async () => {
  const tree = (...names: string[]) => Object.fromEntries(names.map((name) => [name, 'dependencies: [python]\n']))
  const taken = async (named: string, ...others: string[]) => (await load(tree(named, ...others), named)).path
  assert.equal(await taken('env/environment.yml', 'env/environment-linux.yml'), 'env/environment-linux.yml')
  assert.equal(
    await taken('dev.yaml', 'dev-linux.yaml', 'dev-linux-64.yml', 'environment-linux.yml'),
    'dev-linux-64.yml',
  )
  for (const system of ['osx-64', 'osx', 'macos', 'darwin', 'win', 'windows'])
    assert.equal(await taken(`environment-${system}.yml`, 'environment-linux.yml'), 'environment-linux.yml', system)
  assert.equal(await taken('environment-linux.yml', 'environment.yml', 'dev-linux.yml'), 'environment-linux.yml')
  const onArm = async (named: string, ...others: string[]) => {
    const request = InterpreterRequest.parse({ interpreter: named })
    const found = { platform: 'linux-aarch64' } as const
    return (await loadSpec(codeFiles(tree(named, ...others)), request, found)).path
  }
  const [most, arm] = ['ci/dev-linux-64.yml', 'ci/dev-linux-aarch64.yml']
  assert.equal(await onArm('ci/dev.yml', 'ci/dev-linux.yml', most, arm), arm)
  assert.equal(await onArm('ci/dev.yml', 'ci/dev-linux.yml', most), 'ci/dev-linux.yml')
  assert.equal(await onArm(most, arm), arm)
  assert.equal(await taken(arm, most), most)
  assert.equal(await onArm(most), most)
  await assert.rejects(taken('environment.yml', 'environment-linux.yml', 'environment-linux.yaml'), {
    name: 'EnvironmentFileError',
    message: 'environment.yml: both environment-linux.yml and environment-linux.yaml are for Linux in its place',
  })
})

test('what a spec says: its name, its channel, and whether it leaves nothing open', () => {
  const parts = (spec: string) => [specName(spec), specChannel(spec), isExact(spec)]
  for (const exact of ['=1.2.3=py311_0', '==1.2.3=py311_0', ' 1.2.3 py311_0', ' ==1.2.3 py311_0', '=2024a=h0_cpython'])
    assert.deepEqual(parts(`NumPy${exact}`), ['numpy', undefined, true], exact)
  for (const open of ['', '=1.2', '==1.2', ' >=1,<2', '=1.*=*mkl*', '=*=openblas', " [version='>=1']", '>=1=x'])
    assert.deepEqual(parts(`a::numpy${open}`), ['numpy', 'a', false], open)
  assert.equal(withoutSubdir('conda-forge/linux-64::x=1'), 'conda-forge::x=1')
  assert.equal(withoutSubdir('conda-forge/label/dev::x'), 'conda-forge/label/dev::x')
  assert.equal(withoutSubdir('pkgs/main::x'), 'pkgs/main::x')
  assert.equal(withoutSubdir('x=1'), 'x=1')
})

test('channels are where conda has them, or where the operator says', () => {
  const own = { ours: 'http://conda.internal/ours/', 'conda-forge': 'https://mirror.example.com/forge' }
  const urls = (...names: string[]) => channelUrls(names, own).map(({ url }) => url)
  assert.deepEqual(urls('ours', 'conda-forge', 'bioconda', 'bioconda/label/dev', 'https://conda.example.com/x/'), [
    'http://conda.internal/ours',
    'https://mirror.example.com/forge',
    'https://conda.anaconda.org/bioconda',
    'https://conda.anaconda.org/bioconda/label/dev',
    'https://conda.example.com/x',
  ])
  const anaconda = ['https://repo.anaconda.com/pkgs/main', 'https://repo.anaconda.com/pkgs/r']
  assert.deepEqual(urls('defaults', 'defaults'), anaconda)
  assert.deepEqual(urls('pkgs/main'), anaconda.slice(0, 1))
})

test('virtual packages are those of the base, not of the machine', () => {
  const base = exampleProbe
  const { virtual, subdir } = condaTarget('x', { ...base, libc: { name: 'glibc', version: '2.28' } })
  assert.deepEqual([subdir, virtual.__glibc, virtual.__cuda], ['linux-64', ['2.28', '0'], undefined])
  const musl = { ...base, libc: { name: 'musl' as const, version: '1.2' } }
  assert.throws(() => condaTarget('x', musl), { message: /no packages for x86_64 with musl/ })
})

test("the environment's Python has the tags of its own version on the base's platform", () => {
  const python = { name: 'python', version: '3.12.4', kind: 'conda' as const, filename: '' }
  const own = condaProbe(exampleProbe, python)
  assert.equal(own.tags[0]?.replace(/-[^-]*$/, ''), 'cp312-cp312')
  assert.equal(own.markers.python_full_version, '3.12.4')
  assert.equal(own.executable, '/opt/env/bin/python3.12')
  assert.ok(own.tags.includes('py3-none-any') && own.tags.includes('py2-none-any') === false)
})
