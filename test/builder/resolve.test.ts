import assert from 'node:assert/strict'
import { text } from 'node:stream/consumers'
import { describe, test } from 'node:test'
import type { Builder } from '../../service/builder/builder.ts'
import { LimitReached } from '../../service/builder/context.ts'
import { Step } from '../../service/builder/step.ts'
import { uvPlatform } from '../../service/builder/uv.ts'
import { loadSpec } from '../../service/interpreter/formats.ts'
import type { Lock } from '../../service/interpreter/lock.ts'
import { DEFAULT_INDEX } from '../../service/interpreter/lock.ts'
import type { FormatName, InterpreterSpec } from '../../service/interpreter/spec.ts'
import { STEP, testBase } from '../support/builder.ts'
import { codeFiles } from '../support/code-files.ts'
import { ASK, pins, refusal, resolving } from '../support/resolving.ts'
import { pipLock, uvExport } from '../support/uv-lock.ts'
import { makeWheel } from '../support/wheels.ts'

const { parts, base, probe } = await resolving()

function specOf(
  text: string,
  more: Record<string, string> = {},
  format: FormatName = 'requirements.txt',
): InterpreterSpec {
  return { format, path: format, files: { [format]: text, ...more } }
}

function resolve(text: string, more?: Record<string, string>, builder: Builder = parts.builder): Promise<Lock> {
  return builder.resolve(base, specOf(text, more), probe, ASK)
}

/** The index that pip asks by default. */
async function defaultIndex(): Promise<string> {
  const program = 'from pip._internal.models.index import PyPI; print(PyPI.simple_url)'
  const spec = {
    name: 'asking pip',
    image: base.reference,
    command: ['python3', '-c', program],
    network: 'none' as const,
  }
  await using step = await Step.open(parts.context, spec, STEP)
  await step.start()
  const said = await text(step.stdout)
  await step.finish()
  return said.trim()
}

describe('platforms as uv names them', () => {
  for (const [machine, name, version, platform] of [
    ['x86_64', 'glibc', '2.36', 'x86_64-manylinux_2_36'],
    ['aarch64', 'glibc', '2.41', 'aarch64-manylinux_2_40'],
    ['x86_64', 'glibc', '2.29', 'x86_64-manylinux_2_28'],
    ['x86_64', 'musl', '1.2', 'x86_64-unknown-linux-musl'],
  ] as const) {
    test(platform, () => assert.equal(uvPlatform({ machine, libc: { name, version } }), platform))
  }
  test('none', () => {
    assert.throws(() => uvPlatform({ machine: 'x86_64', libc: { name: 'glibc', version: '2.12' } }), /UnknownPlatform/)
    assert.throws(() => uvPlatform({ machine: 's390x', libc: { name: 'glibc', version: '2.36' } }), /s390x/)
  })
})

describe('requirements.txt', () => {
  for (const python of ['3.9', '3.11', '3.13'] as const) {
    test(`Python ${python}: markers, extras, constraints and the wheels of that Python`, async () => {
      const itsBase = await testBase(python)
      const itsProbe = await parts.builder.probe(itsBase, STEP)
      const spec = specOf('-r more/base.txt\nmarkupsafe==3.0.2\nsix ; python_version < "3"\n', {
        'more/base.txt': '-c limits.txt\nrequests[socks]>=2\n',
        'more/limits.txt': 'idna<3.8\nurllib3==2.2.3\n',
      })
      const lock = await parts.builder.resolve(itsBase, spec, itsProbe, ASK)
      const found = pins(lock)
      for (const name of ['markupsafe==3.0.2', 'urllib3==2.2.3']) assert.ok(found.includes(name), `${found}`)
      assert.ok(found.some((name) => name.startsWith('pysocks==')) && !found.some((name) => name.startsWith('six==')))
      const wheel = lock.artifacts.find(({ name }) => name === 'markupsafe')
      assert.match(wheel?.filename ?? '', new RegExp(`-cp${python.replace('.', '')}-.*manylinux.*x86_64\\.whl$`))
      assert.equal(wheel?.kind, 'wheel')
      assert.match(wheel?.sha256 ?? '', /^[0-9a-f]{64}$/)
      assert.ok((wheel?.size ?? 0) > 1000)
      assert.deepEqual(lock.unpinned, ['requests'])
      assert.ok(lock.text.includes(`requires-python = ">=${itsProbe.version}"`))
    })
  }

  test('the same again is the same lock, and comes from the same container', async () => {
    const first = await resolve('six==1.16.0\n')
    const before = await parts.containers()
    const second = await resolve('six==1.16.0\n')
    assert.equal(second.digest, first.digest)
    assert.deepEqual(await parts.containers(), before)
  })

  test('a kept resolver is of one domain, dies unnoticed, and goes when it is closed', async () => {
    const builder = parts.another({})
    const earlier = await parts.containers()
    const own = async () => (await parts.containers()).filter((id) => !earlier.includes(id))
    const resolveFor = (domain: string) => builder.resolve(base, specOf('six==1.16.0\n'), probe, { ...STEP, domain })
    await resolveFor('rep_one')
    const [one] = await own()
    await resolveFor('rep_two')
    assert.equal((await own()).length, 2)
    await resolveFor('rep_one')
    assert.equal((await own()).length, 2)
    await parts.engine.container(one as string).remove()
    assert.deepEqual(pins(await resolveFor('rep_one')), ['six==1.16.0'])
    assert.ok(!(await own()).includes(one as string))
    await builder.resolve(base, specOf('six==1.16.0\n'), probe, STEP)
    assert.equal((await own()).length, 2)
    await builder.close()
    assert.deepEqual(await own(), [])
  })

  test('only some are kept', async () => {
    const builder = parts.another({ resolvers: { most: 1 } })
    const earlier = (await parts.containers()).length
    for (const domain of ['rep_one', 'rep_two']) {
      await builder.resolve(base, specOf('six==1.16.0\n'), probe, { ...STEP, domain })
    }
    assert.equal((await parts.containers()).length, earlier + 1)
  })

  test('a wheel by its URL', async () => {
    const six = (await resolve('six==1.16.0\n')).artifacts[0]
    const lock = await resolve(`six @ ${six?.url}\n`)
    assert.deepEqual(
      lock.artifacts,
      [{ ...six }].map(({ size: _, index: __, ...rest }) => rest),
    )
    assert.deepEqual(lock.unpinned, [])
  })

  test('says which index offered a file, but not of what is named by its URL', async () => {
    const six = (await resolve('six==1.16.0\n')).artifacts[0]
    const index = await defaultIndex()
    const builder = parts.another({ indexUrl: index })
    for (const line of ['six==1.16.0\n', 'docopt==0.6.2\n']) {
      const lock = await builder.resolve(base, specOf(line), probe, ASK)
      assert.equal(lock.artifacts[0]?.index, index)
    }
    const direct = await builder.resolve(base, specOf(`six @ ${six?.url}\n`), probe, ASK)
    assert.equal(direct.artifacts[0]?.index, undefined)
    await builder.close()
  })

  test("the user's hashes choose the file", async () => {
    const six = (await resolve('six==1.16.0\n')).artifacts[0]
    const right = await resolve(`six==1.16.0 --hash=sha256:${six?.sha256}\n`)
    assert.equal(right.artifacts[0]?.filename, six?.filename)
    const idna = (await resolve('idna==3.7\n')).artifacts[0]
    const urls = `${idna?.url} --hash=sha256:${idna?.sha256}\nsix @ ${six?.url}#sha256=${six?.sha256}\n`
    assert.deepEqual(pins(await resolve(urls)), ['idna==3.7', 'six==1.16.0'])
    const wrong = await refusal(resolve(`# all\nsix==1.16.0 --hash=sha256:${'0'.repeat(64)}\n`))
    assert.match(wrong.message, /^requirements.txt:2: six: no file of version 1.16.0 has one of the given hashes/)
    const missing = await refusal(resolve(`six==1.16.0 --hash=sha256:${six?.sha256}\nidna==3.7\n`))
    assert.match(missing.message, /^requirements.txt:2: idna: no hash is given for it, while others have one/)
    const dependency = await refusal(resolve(`python-dateutil==2.9.0.post0 --hash=sha256:${six?.sha256}\n`))
    assert.match(dependency.message, /python-dateutil|six/)
  })

  for (const [what, text, line, message] of [
    ['a typing error', 'six\nnum py==1\n', 2, /Couldn't parse requirement[\s\S]*num py==1/],
    ['no such operator', 'six=1.16.0\n', 1, /no such comparison operator/],
    [
      'no such package',
      'six\n\nmeadow-run-no-such-package\n',
      3,
      /meadow-run-no-such-package was not found in the package registry/,
    ],
    ['no such version', '# one\nsix==999\n', 2, /there is no version of six==999/],
    [
      'a conflict',
      'requests==2.32.3\nurllib3==1.20\n',
      1,
      /requests==2.32.3 depends on urllib3>=1.21.1,<3[\s\S]*And because you require urllib3==1.20, we can conclude that your requirements are unsatisfiable/,
    ],
  ] as const) {
    test(`${what} is explained by uv, with its line`, async () => {
      const error = await refusal(resolve(text))
      assert.equal(error.line, line)
      assert.match(error.message, message)
    })
  }

  test('a Python that is too old is explained', async () => {
    const old = await testBase('3.9')
    const oldProbe = await parts.builder.probe(old, STEP)
    const error = await refusal(parts.builder.resolve(old, specOf('six\nnumpy==2.3.0\n'), oldProbe, ASK))
    assert.equal(error.line, 2)
    assert.match(error.message, /requested Python version|Python>=3.1\d|does not satisfy/)
    assert.match(error.hint, /python-version/)
  })

  test('a nested file is named', async () => {
    const error = await refusal(resolve('-r sub/dev.txt\n', { 'sub/dev.txt': 'six\nidna==999\n' }))
    assert.ok(error.message.startsWith('sub/dev.txt:2: '), error.message)
  })

  test('an sdist is built for its metadata, and then to a wheel, in the base', async () => {
    const lines: string[] = []
    const options = { ...ASK, report: (line: string) => void lines.push(line) }
    const lock = await parts.builder.resolve(base, specOf('docopt==0.6.2\nsix==1.16.0\n'), probe, options)
    const [docopt, six] = lock.artifacts
    assert.deepEqual([docopt?.kind, docopt?.filename], ['sdist', 'docopt-0.6.2.tar.gz'])
    assert.equal(six?.kind, 'wheel')
    assert.ok(lines.some((line) => line.includes('building its metadata')))
  })
})

describe('pylock.toml', () => {
  const resolveLock = (text: string) => parts.builder.resolve(base, specOf(text, {}, 'pylock.toml'), probe, ASK)

  test('a lock by uv gives the same artifacts, and stays as it is', async () => {
    const made = await resolve('requests==2.32.3\n')
    const taken = await resolveLock(made.text)
    // A lock that somebody hands in says itself which index its files are of.
    assert.deepEqual(
      taken.artifacts,
      made.artifacts.map(({ index: _, ...rest }) => rest),
    )
    assert.ok(made.artifacts.every(({ index }) => index === DEFAULT_INDEX))
    assert.equal(taken.digest, made.digest)
  })

  test('directories, git repositories and files of the code', async () => {
    const lock = `lock-version = "1.0"
created-by = "test"
[[packages]]
name = "here"
directory = { path = ".", editable = true }
[[packages]]
name = "lib"
vcs = { type = "git", url = "https://example.org/lib.git", commit-id = "${'b'.repeat(40)}", subdirectory = "py" }
[[packages]]
name = "six"
version = "1.16.0"
wheels = [{ path = "../wheels/six-1.16.0-py3-none-any.whl", hashes = { md5 = "00" } }]
[[packages]]
name = "sub"
version = "2"
directory = { path = "../libs/sub" }
`
    const spec = { format: 'pylock.toml' as const, path: 'app/pylock.toml', files: { 'app/pylock.toml': lock } }
    const { artifacts } = await parts.builder.resolve(base, spec, probe, ASK)
    const six = 'six-1.16.0-py3-none-any.whl'
    assert.deepEqual(artifacts, [
      { name: 'here', version: '0', kind: 'directory', filename: 'here', path: 'app', editable: true },
      {
        ...{ name: 'lib', version: '0', kind: 'vcs', filename: 'lib', subdirectory: 'py' },
        ...{ url: 'https://example.org/lib.git', commit: 'b'.repeat(40) },
      },
      { name: 'six', version: '1.16.0', kind: 'wheel', path: `wheels/${six}`, filename: six },
      { name: 'sub', version: '2', kind: 'directory', filename: 'sub', path: 'libs/sub' },
    ])
  })

  test('its default groups, and the groups and extras that are asked for', async () => {
    const SHA = 'a'.repeat(64)
    const wheel = (name: string, marker: string) =>
      `[[packages]]\nname = "${name}"\nversion = "1"\nmarker = "${marker}"\nwheels = [{ url = "https://example.org/${name}-1-py3-none-any.whl", hashes = { sha256 = "${SHA}" } }]\n`
    const text = [
      'lock-version = "1.0"\ncreated-by = "test"\nextras = ["fast"]\ndependency-groups = ["dev", "Lint"]\ndefault-groups = ["dev"]\n',
      wheel('oak', "'fast' in extras"),
      wheel('elm', "'dev' in dependency_groups"),
      wheel('ash', "'lint' in dependency_groups"),
    ].join('')
    const ask = (more: object) =>
      parts.builder.resolve(base, { ...specOf(text, {}, 'pylock.toml'), ...more }, probe, STEP)
    assert.deepEqual(pins(await ask({})), ['elm==1'])
    assert.deepEqual(pins(await ask({ extras: ['Fast'], groups: ['lint'] })), ['ash==1', 'elm==1', 'oak==1'])
    assert.deepEqual(pins(await ask({ 'without-groups': ['Dev'] })), [])
    const error = await refusal(ask({ groups: ['docs'] }))
    assert.match(error.message, /^pylock\.toml: it has no group 'docs'; it has dev, lint$/)
    assert.match((await refusal(ask({ extras: ['slow'] }))).message, /no extra 'slow'; it has fast/)
  })

  test('a lock by "pip lock"; of a wheel it says where that lay, which is refused with the way out', async () => {
    const project = '[project]\nname = "wood"\nversion = "1"\n[build-system]\nrequires = ["setuptools"]\n'
    const wheel = 'wheels/local-1.0-py3-none-any.whl'
    const files = { 'libs/wood/pyproject.toml': project, [wheel]: makeWheel({ name: 'local', version: '1.0' }) }
    const lock = await pipLock(parts, { ...files, 'requirements.txt': `idna==3.7\n-e ./libs/wood\n./${wheel}\n` })
    const error = await refusal(resolveLock(lock))
    const line = lock.split('\n').indexOf('name = "local"') + 1
    assert.match(
      error.message,
      new RegExp(`^pylock\\.toml:${line}: local: it is locked to file:///.*/${wheel}, which is`),
    )
    assert.match(error.hint, /write path = "…" for the url, relative to this file/)
    const { artifacts } = await resolveLock(lock.replace(/^url = "file:.*"$/m, `path = "${wheel}"`))
    assert.deepEqual(
      artifacts.map(({ name, kind, path, editable }) => [name, kind, path, editable]),
      [
        ['idna', 'wheel', undefined, undefined],
        ['local', 'wheel', wheel, undefined],
        ['wood', 'directory', 'libs/wood', true],
      ],
    )
  })

  test('a lock by "uv export", with a group and an extra in it', async () => {
    const project = `[project]
name = "wood"
version = "1"
requires-python = ">=3.9"
dependencies = ["idna==3.7", "tomli ; python_version < '3.11'"]
[project.optional-dependencies]
fast = ["six==1.16.0"]
[dependency-groups]
lint = ["toolz==1.0.0"]
docs = ["iniconfig==2.0.0"]
`
    const lock = await uvExport(parts, { 'pyproject.toml': project }, '--group lint --extra fast')
    const all = ['idna==3.7', 'six==1.16.0', 'toolz==1.0.0']
    assert.deepEqual(pins(await resolveLock(lock)), all)
    const spec = await loadSpec(codeFiles({ 'ci/pylock.dev.toml': lock }), { interpreter: 'ci/pylock.dev.toml' })
    assert.deepEqual(pins(await parts.builder.resolve(base, spec, probe, ASK)), all)
  })

  test('a package without a file for this Python is named once', async () => {
    const wheel = `https://example.org/six-1.16.0-cp38-cp38-manylinux_2_17_x86_64.whl", hashes = { sha256 = "${SHA}" }`
    const error = await refusal(resolveLock(six(`wheels = [{ url = "${wheel} }]`)))
    const why = 'No wheel found matching the provided tags, and no sdist available as a fallback'
    assert.equal(error.message, `pylock.toml:5: six: ${why}`)
    assert.match(error.hint, /^Make a lock that holds files for Python 3\.11\.\d+ on x86_64 with glibc/)
  })

  const HEAD = 'lock-version = "1.0"\ncreated-by = "test"\n'
  const SHA = 'a'.repeat(64)
  const six = (what: string) => `${HEAD}\n[[packages]]\nname = "six"\nversion = "1.16.0"\n${what}\n`
  for (const [what, text, line, message] of [
    ['no TOML', `${HEAD}packages = }\n`, 3, /line 3/],
    ['no packages', HEAD, undefined, /packages/],
    ['another version of the format', 'lock-version = "2.0"\ncreated-by = "x"\npackages = []\n', undefined, /2\.0/],
    ['no hash', six('wheels = [{ url = "https://example.org/six-1.16.0-py3-none-any.whl" }]'), 4, /hashes/],
    [
      'no sha256',
      six('wheels = [{ url = "https://example.org/six-1.16.0-py3-none-any.whl", hashes = { md5 = "00" } }]'),
      5,
      /no sha256/,
    ],
    [
      'another platform',
      six(
        `wheels = [{ url = "https://example.org/six-1.16.0-cp311-cp311-win_amd64.whl", hashes = { sha256 = "${SHA}" } }]`,
      ),
      5,
      /^pylock\.toml:5: six: version 1\.16\.0 has files for Windows only, .* six ; sys_platform == "win32"$/,
    ],
    ['another Python', `${HEAD}requires-python = ">=3.12"\npackages = []\n`, undefined, /3\.12/],
    [
      'another version control than git',
      six('vcs = { type = "hg", url = "https://example.org/six", commit-id = "00" }'),
      5,
      /locked to hg at https:\/\/example.org\/six/,
    ],
    [
      'a branch for a commit',
      six('vcs = { type = "git", url = "https://example.org/six.git", commit-id = "main" }'),
      5,
      /commit 'main' is not one of 40 hex digits/,
    ],
    ['a folder outside', six('directory = { path = "../six" }'), 5, /\.\.\/six, which leads outside the repository/],
    [
      'an absolute path',
      six(`wheels = [{ path = "/six-1.16.0-py3-none-any.whl", hashes = { sha256 = "${SHA}" } }]`),
      5,
      /no path inside the repository/,
    ],
    [
      'a wheel that is none',
      six(`wheels = [{ url = "https://example.org/six.whl", hashes = { sha256 = "${SHA}" } }]`),
      4,
      /^pylock\.toml:4: Invalid wheel filename 'six\.whl'/,
    ],
    [
      'a password',
      six(
        `wheels = [{ url = "https://me:s3cret@example.org/six-1.16.0-py3-none-any.whl", hashes = { sha256 = "${SHA}" } }]`,
      ),
      7,
      /^pylock\.toml:7: https:\/\/example\.org\/six-1\.16\.0-py3-none-any\.whl holds a user name or password$/,
    ],
    [
      'a password of a repository',
      six(`vcs = { type = "git", url = "https://me:s3cret@example.org/six.git", commit-id = "${'b'.repeat(40)}" }`),
      7,
      /^pylock\.toml:7: https:\/\/example\.org\/six\.git holds a user name or password$/,
    ],
  ] as const) {
    test(`${what} is refused`, async () => {
      const error = await refusal(resolveLock(text))
      assert.match(error.message, message)
      assert.equal(error.line, line, error.message)
      assert.equal(error.file, 'pylock.toml')
    })
  }
})

describe('limits of resolving', () => {
  test('time, and who does not want it any more', async () => {
    const hasty = parts.another({ limits: { timeout: 1 } })
    await assert.rejects(resolve('six\n', {}, hasty), (error) => error instanceof LimitReached)
    const abort = AbortSignal.abort(new Error('superseded'))
    const asked = parts.builder.resolve(base, specOf('six\n'), probe, { ...ASK, signal: abort })
    await assert.rejects(asked, /superseded/)
  })
})
