import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { requirementLines } from '../../common/requirement-lines.ts'
import { isExact, parseRequirement } from '../../service/interpreter/formats/requirement-lines.ts'
import { loadSpec, locate, lockSpec } from '../../service/interpreter/formats.ts'
import { type Resolved, type ResolveRequest, ResolverRefused } from '../../service/interpreter/resolution.ts'
import { codeFiles } from '../support/code-files.ts'
import { exampleProbe } from '../support/probe.ts'

const request = { interpreter: 'requirements.txt' }

async function load(files: Record<string, string | Buffer>) {
  return loadSpec(codeFiles(files), request)
}

async function refused(text: string) {
  return load({ 'requirements.txt': text }).then(
    () => assert.fail(`${text} was not refused`),
    (error) => error as Error & { file: string; line: number; hint: string },
  )
}

/** A lock of some files by a resolver that answers as given, and what it was asked. */
async function lockOf(files: Record<string, string>, answer: () => Resolved) {
  const asked: ResolveRequest[] = []
  const lock = await lockSpec(await load(files), exampleProbe, async (request) => {
    asked.push(request)
    return answer()
  })
  return { lock, asked: asked[0] as ResolveRequest }
}
const TEXT = 'lock-version = "1.0"\n'
const empty = () => ({ text: TEXT, artifacts: [] })
const all = () => ({
  text: TEXT,
  artifacts: ['numpy', 'pandas', 'six', 'idna', 'pytest'].map((name) => ({
    name,
    version: '1',
    kind: 'wheel' as const,
    filename: `${name}.whl`,
  })),
})

describe('lines of a requirements file', () => {
  test('comments, continuations and numbers', () => {
    assert.deepEqual(requirementLines('# all\n\nsix==1.0 \\\n  --hash=sha256:aa # why\nrich\n'), [
      { line: 3, text: 'six==1.0   --hash=sha256:aa' },
      { line: 5, text: 'rich' },
    ])
  })

  test('a requirement is taken apart', () => {
    const parsed = parseRequirement('My_Pkg[a,b] >=1, <2 ; python_version < "3.9" --hash=sha256:aa --hash sha256:bb')
    assert.equal(parsed.name, 'my-pkg')
    assert.equal(parsed.specifier, '>=1,<2')
    assert.deepEqual(
      parsed.options.map(({ value }) => value),
      ['sha256:aa', 'sha256:bb'],
    )
    assert.equal(parseRequirement('six@https://x.org/six.whl').target, 'https://x.org/six.whl')
    assert.equal(parseRequirement('https://x.org/six-1.0-py3-none-any.whl').name, undefined)
    assert.equal(parseRequirement('./six').target, './six')
    assert.equal(parseRequirement('dir/six').target, 'dir/six')
  })

  test('what leaves one version only', () => {
    for (const exact of ['==1.0', '===1.0', '>=1,==1.2']) assert.ok(isExact(exact), exact)
    for (const open of ['', '>=1.0', '==1.*', '~=1.0', '!=1.0', '<=1']) assert.ok(!isExact(open), open)
  })

  test('never fails, and every line keeps its number', () => {
    const piece = fc.constantFrom('a', '\\', '\n', '#', ' ', '-', '--hash=', '@', ';', '[', '"', '==')
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        const text = pieces.join('')
        for (const { line, text: content } of requirementLines(text)) {
          parseRequirement(content)
          assert.ok(line >= 1 && line <= text.split('\n').length)
        }
      }),
    )
  })
})

describe('what a requirements file may hold', () => {
  test('nested files, extras, markers, hashes and https URLs are taken', async () => {
    const hash = 'a'.repeat(64)
    const spec = await load({
      'requirements.txt': '-r more/dev.txt\n--pre\nrequests[socks]>=2 ; python_version > "3.8"\n',
      'more/dev.txt': `-c limits.txt\nsix==1.16 --hash=sha256:${hash}\nidna @ https://example.org/idna-3.0-py3-none-any.whl\n`,
      'more/limits.txt': 'urllib3<2\n',
    })
    assert.deepEqual(Object.keys(spec.files), ['more/dev.txt', 'more/limits.txt', 'requirements.txt'])
    assert.deepEqual(locate(spec, 'six'), { file: 'more/dev.txt', line: 2 })
    assert.deepEqual(locate(spec, 'urllib3'), { file: 'more/limits.txt', line: 1 })
    assert.equal(locate(spec, 'numpy'), undefined)
  })

  for (const [line, message] of [
    ['-e .', /\.: there is no such file in the repository, and no folder with a pyproject/],
    ['--editable=../x', /\.\.\/x leads outside/],
    ['-e ~/x', /~\/x leads outside/],
    ['-e .\\x', /has a backslash/],
    ['-e git+ssh://git@example.org/six.git', /only git\+https: is supported/],
    [
      '--index-url https://user:secret@example.org/simple',
      /--index-url https:\/\/example.org\/simple: it holds a user/,
    ],
    ['--extra-index-url ftp://example.org/simple', /no https: URL/],
    ['-i example.org/simple', /no URL/],
    ['--find-links ./wheels', /--find-links \.\/wheels: there is no such folder/],
    [
      '-f https://me:secret@example.org/whl/x.html',
      /-links https:\/\/example\.org\/whl\/x\.html: it is a URL, and only/,
    ],
    ['--no-such-option', /--no-such-option: this option is not supported/],
    ['--trusted-host example.org', /--trusted-host example.org: this option is not supported/],
    ['six @ hg+https://example.org/six', /only git is supported/],
    ['six @ git+https://user:secret@example.org/six.git', /its URL holds a user name or password/],
    ['git+https://example.org/six.git#subdirectory=../x', /subdirectory=\.\.\/x leads outside/],
    ['./wheels/six-1.0-py3-none-any.whl', /there is no such file/],
    ['six-1.0-py3-none-any.whl', /there is no such file/],
    ['six @ file:///etc/passwd', /leads outside the repository/],
    ['six @ file:../x', /leads outside the repository/],
    ['six @ http://example.org/six-1.0.tar.gz', /not an https: URL/],
    ['six @ https://user:secret@example.org/six-1.0.tar.gz', /six: its URL holds a user name or password/],
    ['six @ https://169.254.169.254/six-1.0.tar.gz', /169.254.169.254 is a private address/],
    ['six @ https://[::1]/six-1.0.tar.gz', /private address/],
    ['six @ https://localhost/six-1.0.tar.gz', /private address/],
    ['six==1.0 --hash=sha256:abc', /has 3 hex digits/],
    ['six==1.0 --hash=nonsense', /not well formed/],
    [`six==1.0 --hash=sha512:${'a'.repeat(128)} --hash=sha384:${'a'.repeat(96)}`, /sha512:…: a sha256 is needed/],
    ['six=1.0=pyhd3_0', /six=1\.0=pyhd3_0 is written as conda has it/],
    ['six==1.0 --global-option=x', /--global-option: this option/],
    ['--pre --extra-index-url https://example.org/simple', /--pre --extra-index-url \S+: there is more on this line/],
    ['--extra-index-url https://example.org/simple --pre', /simple --pre: there is more on this line than one option/],
    ['--no-index --extra-index-url http://10.0.0.1/', /there is more on this line than one option/],
    ['-i https://user:secret@example.org/simple --pre', /^\S+ -i https:\/\/example\.org\/simple --pre: there is more/],
    ['-e . --index-url https://example.org/simple', /--index-url: this option is not supported/],
    ['--index-url', /--index-url: its value is missing/],
    ['-r', /-r: its value is missing/],
    ['-e', /-e: its value is missing/],
    ['--no-binary rich,six', /--no-binary rich,six: this is not the name of one package/],
    ['--no-binary "rich --index-url http://10.0.0.1/"', /this is not the name of one package/],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: resolvers put variables in there
    ['six @ https://${HOST}/six-1.0.tar.gz', /six: its URL holds/],
    ['git+https://example.org/six#egg=x%20@%20http://10.0.0.1/x.whl', /egg=x @ \S+ is no name/],
    ['six \\ # x', /ends in a backslash that continues nothing/],
    ['six\u2028rich', /holds a control character/],
    ['six\f--index-url https://example.org/simple', /holds a control character|this option is not supported/],
  ] as const) {
    test(`refused by line: ${line}`, async () => {
      const error = await refused(`rich\n\n${line}\n`)
      assert.match(error.message, message)
      assert.ok(error.message.startsWith('requirements.txt:3: '), error.message)
      assert.equal(error.line, 3)
      assert.notEqual(error.hint, '')
      assert.doesNotMatch(error.message + error.hint, /secret/)
    })
  }

  test('one option on a line with an include', async () => {
    const files = { 'requirements.txt': 'rich\n-r base.txt --index-url https://example.org/simple\n', 'base.txt': '' }
    await assert.rejects(load(files), /^EnvironmentFileError: requirements\.txt:2: -r base\.txt .*more on this line/)
  })

  test('what lies in the code, from the root or beside the file, and git: named to the resolver by paths', async () => {
    const files = {
      'app/requirements.txt': `# all
-e .[dev] ; python_version > "3"
-e "libs/lib"
./wheels/six-1.0-py3-none-any.whl --hash=sha256:${'a'.repeat(64)}
other @ file:../other
--extra-index-url https://example.org/simple
--find-links links
git+https://example.org/tool.git@v1#egg=tool[x]&subdirectory=py
two @ git+https://example.org/two ; sys_platform == "linux"
`,
      'app/pyproject.toml': '[project]\nname = "The.App"\nreadme = "README.md"\n',
      'app/README.md': 'read',
      'app/app.py': '',
      'libs/lib/setup.py': '',
      'other/setup.cfg': '',
      'wheels/six-1.0-py3-none-any.whl': 'a wheel',
      'app/links/rich-1.0.tar.gz': 'an sdist',
      'app/links/README.md': '',
    }
    const spec = await loadSpec(codeFiles(files), { interpreter: 'app/requirements.txt' })
    const projects = ['app/README.md', 'app/pyproject.toml', 'libs/lib/setup.py', 'other/setup.cfg']
    assert.deepEqual(Object.keys(spec.files).sort(), [...projects, 'app/requirements.txt'].sort())
    assert.deepEqual(Object.keys(spec.local ?? {}), ['wheels/six-1.0-py3-none-any.whl', 'app/links/rich-1.0.tar.gz'])
    let asked: ResolveRequest | undefined
    const lock = await lockSpec(spec, exampleProbe, async (request) => {
      asked = request
      return empty()
    })
    assert.ok(asked && 'prereleases' in asked)
    assert.equal(
      asked.files['app/requirements.txt'],
      `
./app[dev] ; python_version > "3"
./libs/lib
./wheels/six-1.0-py3-none-any.whl --hash=sha256:${'a'.repeat(64)}
other @ file:./other


tool[x] @ file:./.meadow-git/0/py
two @ file:./.meadow-git/1 ; sys_platform == "linux"
`,
    )
    assert.deepEqual(asked.sources, {
      projects: [
        { path: 'app', editable: true },
        { path: 'libs/lib', editable: true },
        { path: 'other', editable: false },
      ],
      files: ['wheels/six-1.0-py3-none-any.whl', 'app/links/rich-1.0.tar.gz'],
      git: [
        { url: 'https://example.org/tool.git', ref: 'v1', subdirectory: 'py', at: '.meadow-git/0' },
        { url: 'https://example.org/two', at: '.meadow-git/1' },
      ],
    })
    const indexes = { extra: ['https://example.org/simple'], findLinks: ['app/links'], none: false }
    assert.deepEqual(asked.indexes, indexes)
    assert.deepEqual(
      lock.requirements.map(({ name }) => name),
      ['the-app', '', 'six', 'other', 'tool', 'two'],
    )
    assert.deepEqual(locate(spec, 'the-app'), { file: 'app/requirements.txt', line: 2 })
  })

  test('projects that are installed from the code say for which Python', async () => {
    const project = (python: string) => `[project]\nname = "x"\nversion = "1"\nrequires-python = "${python}"\n`
    const spec = await loadSpec(
      codeFiles({
        'requirements.txt': '-e .\n./sub\nsix\n',
        'pyproject.toml': project('>=3.10'),
        'sub/pyproject.toml': project('<3.13'),
        'other/pyproject.toml': project('>=3.14'),
      }),
      { interpreter: 'requirements.txt' },
    )
    assert.equal(spec.requiresPython, '>=3.10,<3.13')
    const none = await loadSpec(codeFiles({ 'requirements.txt': 'six\n' }), { interpreter: 'requirements.txt' })
    assert.equal(none.requiresPython, undefined)
  })

  test('what is for other systems alone needs to be nowhere', async () => {
    const wheel = './w/a-1-cp311-cp311-win_amd64.whl'
    const git = 'x @ git+ssh://git@example.org/x.git'
    const lines = [
      `${wheel} ; sys_platform == "win32"`,
      `${wheel}; 'Windows' == platform_system`,
      `-e ./gone ; os_name != "posix"`,
      `${git} ; platform_system != 'Linux'`,
      'six',
    ]
    const { asked } = await lockOf({ 'requirements.txt': lines.join('\n') }, empty)
    assert.ok('sources' in asked)
    assert.equal(asked.files['requirements.txt'], '\n\n\n\nsix')
    assert.deepEqual(asked.sources, { projects: [], files: [], git: [] })
    for (const marker of ['sys_platform != "win32"', 'sys_platform == "win32" or extra == "x"', 'os_name == "posix"']) {
      assert.match((await refused(`${wheel} ; ${marker}`)).message, /there is no such file/)
      assert.match((await refused(`${git} ; ${marker}`)).message, /only git\+https: is supported/)
    }
  })

  test('a project whose pyproject.toml no build backend could read', async () => {
    const files = { 'requirements.txt': '-e .\n', 'pyproject.toml': Buffer.from('\ufeff[project]\n', 'utf16le') }
    await assert.rejects(load(files), /^EnvironmentFileError: pyproject\.toml: is not UTF-8$/)
  })

  test('a project that is named, whose pyproject.toml is not well formed', async () => {
    const files = { 'requirements.txt': 'six\n-e .\n', 'pyproject.toml': '[project]\nname = "x\n' }
    await assert.rejects(load(files), { file: 'pyproject.toml', line: 2, hint: /must be TOML/ })
    const shape = { 'requirements.txt': './sub\n', 'sub/pyproject.toml': '[project]\noptional-dependencies = []\n' }
    await assert.rejects(load(shape), /^EnvironmentFileError: sub\/pyproject\.toml:2: \S+ is not a table$/)
  })

  test('a file that is not there', async () => {
    await assert.rejects(load({}), /requirements.txt: there is no such file/)
  })
})

describe('the lock of a requirements file', () => {
  test('says what was asked for and what was left open', async () => {
    const { lock, asked } = await lockOf(
      {
        'requirements.txt':
          '-r dev.txt\nNumPy>=1\npandas==2.1\nsix\nrich ; sys_platform == "win32"\nidna @ https://example.org/idna-3.0.tar.gz\n',
        'dev.txt': '-c limits.txt\npytest\n',
        'limits.txt': 'six==1.16\nwheel<1\n',
      },
      all,
    )
    assert.deepEqual(lock.unpinned, ['numpy', 'pytest'])
    assert.deepEqual(
      lock.requirements.filter(({ constraint }) => constraint).map(({ name, line }) => [name, line]),
      [
        ['six', 1],
        ['wheel', 2],
      ],
    )
    assert.ok('path' in asked && asked.path === 'requirements.txt' && !asked.prereleases && !asked.hashes)
  })

  test('hashes anywhere are hashes everywhere', async () => {
    const [a, b] = ['a'.repeat(64), 'b'.repeat(64)]
    const { asked } = await lockOf(
      { 'requirements.txt': `six==1 --hash=sha256:${a} \\\n --hash=sha256:${b}\nrich==2\n` },
      empty,
    )
    assert.deepEqual(asked.hashes, { six: [a, b], rich: [] })
    const { asked: required } = await lockOf({ 'requirements.txt': '--require-hashes\nsix==1\n' }, empty)
    assert.deepEqual(required.hashes, { six: [] })
    const urls = `https://example.org/a-1.0.tar.gz --hash=sha256:${a}\nb @ https://example.org/b.zip#sha256=${b}\n`
    assert.deepEqual((await lockOf({ 'requirements.txt': urls }, empty)).asked.hashes, { '': [a], b: [b] })
    const more = `six==1 --hash=sha512:${a}${b} --hash=sha256:${a}\n`
    assert.deepEqual((await lockOf({ 'requirements.txt': more }, empty)).asked.hashes, { six: [a] })
  })

  const files = { 'requirements.txt': '# ü\nrequests==2.32.3\nurllib3==1.20\nnum py==1\n' }
  for (const [said, line] of [
    ["error: Couldn't parse requirement in `requirements.txt` at position 40\n  cause: Expected one of", 4],
    ['error: Expected `--hash`, found `"--foo"`: requirements.txt:2:3', 2],
    ['error: No solution found\n  cause: Because urllib3==1.20 was not found and you require urllib3==1.20, we', 3],
    ['error: No solution found\n  cause: Because Requests==2.32.3 depends on x and y needs z', 2],
    ['error: something else', undefined],
  ] as const) {
    test(`uv's explanation is passed on in full, with line ${line}`, async () => {
      const refusing = () => {
        throw new ResolverRefused('uv', said)
      }
      const error = await lockOf(files, refusing).then(
        () => assert.fail('resolved'),
        (error) => error,
      )
      assert.equal(error.name, 'ResolutionFailed')
      assert.equal(error.line, line)
      assert.ok(error.message.endsWith(said.replace('error: ', '')), error.message)
      assert.notEqual(error.hint, '')
    })
  }

  for (const [said, line] of [
    ['Failed to build `foo==1.0`\n  cause: no build==1.0', 5],
    ['Failed to download and build `urllib3==1.20`\n  cause: requirements.txt:1:1', 3],
    ['Failed to build `./app`\n  cause: requests', 6],
    ['Failed to build `old @ ./app`\n  cause: requests', 6],
    ['Failed to build one of `./app`, `./lib`\n  cause: requests', undefined],
    [
      'Failed to build `tree==2`\n  cause: no foo\n\nhint: `tree` (v2) was included because `urllib3` (v1) depends on `x` which depends on `tree`',
      3,
    ],
  ] as const) {
    test(`the line of what could not be built: ${said.split('\n', 1)[0]}, ${line}`, async () => {
      const text = `# ü\nbuild\nurllib3==1.20\nrequests\nfoo\n./app\n./lib\n`
      const files = { 'requirements.txt': text, 'app/setup.py': '', 'lib/setup.py': '' }
      const refusing = () => {
        throw new ResolverRefused('uv', `error: ${said}\nInvalid, Unexpected, Expected \`x\``)
      }
      await assert.rejects(lockOf(files, refusing), (error: Error & { line?: number; hint: string }) => {
        assert.equal(error.line, line)
        assert.match(error.hint, /^Its own build failed/)
        return true
      })
    })
  }

  test('a hash that no file has names the line', async () => {
    const refusing = () => {
      throw new ResolverRefused('hash', 'no file of version 1.20 has one of the given hashes', 'urllib3')
    }
    await assert.rejects(lockOf(files, refusing), /^ResolutionFailed: requirements.txt:3: urllib3: no file of version/)
  })
})
