import assert from 'node:assert/strict'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import type { InterpreterRequest } from '../../common/contract.ts'
import { loadSpec, locate } from '../../service/interpreter/formats.ts'
import type { Lock } from '../../service/interpreter/lock.ts'
import { STEP, testBase } from '../support/builder.ts'
import { codeFiles } from '../support/code-files.ts'
import { publicIndex } from '../support/index-server.ts'
import { type PoetryVersion, poetryLock, poetryProject } from '../support/poetry.ts'
import { TestRepository } from '../support/repositories.ts'
import { ASK, pins, refusal, resolving } from '../support/resolving.ts'

const { parts, base, probe, resolve } = await resolving('poetry.lock')

const VERSIONS: PoetryVersion[] = ['1.2', '1.8', '2.5']

const DEPENDENCIES = ['idna = "3.6"', 'exceptiongroup = { version = "1.2.2", python = "<3.11" }']
const PROJECT = poetryProject(DEPENDENCIES, 'package-mode = false\n')

describe('poetry.lock', () => {
  for (const version of VERSIONS) {
    describe(`of poetry ${version}`, () => {
      const files = { 'pyproject.toml': PROJECT, 'poetry.lock': '' }
      before(async () => {
        // Older ones don't know it, and no lock depends on it.
        const project = PROJECT.replace('package-mode = false\n', '')
        files['poetry.lock'] = await poetryLock(parts.context, version, { 'pyproject.toml': project })
      })

      test('the main group and those that are not optional, for this Python', async () => {
        const lock = await resolve(files)
        assert.deepEqual(pins(lock), ['idna==3.6', 'iniconfig==2.0.0'])
        const [idna] = lock.artifacts
        assert.equal(idna?.kind, 'wheel')
        assert.match(idna?.url ?? '', /^https:.*\/idna-3\.6-py3-none-any\.whl$/)
        assert.ok((idna?.size ?? 0) > 1000)
        assert.equal(idna?.index, 'default')
        assert.deepEqual(lock.requirements[0], { name: 'idna', text: 'idna 3.6', file: 'pyproject.toml', line: 10 })
      })

      test('optional groups and extras that are asked for', async () => {
        const lock = await resolve(files, { groups: ['docs'], extras: ['versions'] })
        assert.deepEqual(pins(lock), ['idna==3.6', 'iniconfig==2.0.0', 'packaging==24.1', 'six==1.16.0'])
      })

      test('nothing but the groups that are asked for, where main is among them', async () => {
        assert.deepEqual(pins(await resolve(files, { groups: ['main'] })), ['idna==3.6'])
      })

      test('a group that is left out, and the main one too', async () => {
        assert.deepEqual(pins(await resolve(files, { 'without-groups': ['dev'] })), ['idna==3.6'])
        const docs = { groups: ['docs'], 'without-groups': ['main', 'dev'] }
        assert.deepEqual(pins(await resolve(files, docs)), ['six==1.16.0'])
      })
    })
  }

  for (const version of ['1.0', '1.1'] as const) {
    test(`of poetry ${version}, which knows no groups but dev`, async () => {
      const index = await publicIndex(parts)
      const files = {
        'pyproject.toml': [
          ...[
            '[tool.poetry]',
            'name = "shop"',
            'version = "0.3.0"',
            'description = ""',
            'authors = ["A <a@example.org>"]',
          ],
          ...['[tool.poetry.dependencies]', 'python = "^3.9"', ...DEPENDENCIES],
          ...['packaging = { version = "24.1", optional = true }', '[tool.poetry.extras]', 'versions = ["packaging"]'],
          ...['[tool.poetry.dev-dependencies]', 'iniconfig = "2.0.0"'],
          ...['[[tool.poetry.source]]', 'name = "everybody"', `url = "${index}/"`, 'default = true', ''],
        ].join('\n'),
      }
      const locked = { ...files, 'poetry.lock': await poetryLock(parts.context, version, files) }
      assert.match(locked['poetry.lock'], new RegExp(`lock-version = "${version}"`))
      // Before package-mode each project was a package.
      assert.deepEqual(pins(await resolve(locked)), ['idna==3.6', 'iniconfig==2.0.0', 'shop==0'])
      const asked = { extras: ['versions'], 'without-groups': ['dev'] }
      assert.deepEqual(pins(await resolve(locked, asked)), ['idna==3.6', 'packaging==24.1', 'shop==0'])
      const stale = { ...locked, 'pyproject.toml': files['pyproject.toml'].replace('"3.6"', '"3.7"') }
      assert.match((await refusal(resolve(stale))).message, /changed significantly/)
    })
  }

  test('a project as the standard has it, which poetry 2 makes', async () => {
    const files = {
      'pyproject.toml': [
        ...['[project]', 'name = "shop"', 'version = "0.3.0"', 'requires-python = ">=3.9"'],
        'dependencies = ["idna (==3.6)", "exceptiongroup (==1.2.2) ; python_version < \'3.11\'"]',
        ...['[project.optional-dependencies]', 'versions = ["packaging (==24.1)"]'],
        ...['[dependency-groups]', 'dev = ["iniconfig (==2.0.0)"]', 'docs = ["six (==1.16.0)"]'],
        ...['[tool.poetry]', 'package-mode = false', '[tool.poetry.group.docs]', 'optional = true', ''],
      ].join('\n'),
    }
    const locked = { ...files, 'poetry.lock': await poetryLock(parts.context, '2.5', files) }
    const plain = await resolve(locked)
    assert.deepEqual(pins(plain), ['idna==3.6', 'iniconfig==2.0.0'])
    const asked = { groups: ['docs'], extras: ['versions'], 'without-groups': ['dev'] }
    assert.deepEqual(pins(await resolve(locked, asked)), ['idna==3.6', 'packaging==24.1', 'six==1.16.0'])
    const first = { name: 'idna', text: 'idna (==3.6)', file: 'pyproject.toml', line: 5 }
    assert.deepEqual(plain.requirements[0], first)
  })

  test('a git dependency with develop = true is a copy, which is said', async () => {
    const folder = join(parts.folder, 'lib')
    const lib = await TestRepository.make(folder)
    const description = '[tool.poetry]\nname = "lib"\nversion = "1"\ndescription = ""\nauthors = []\n'
    const commit = await lib.commit({ 'pyproject.toml': description, 'lib.py': '' }, { ref: 'refs/heads/main' })
    const files = {
      'pyproject.toml': poetryProject([`lib = { git = "file://${folder}", branch = "main", develop = true }`]),
    }
    const locked = { ...files, 'poetry.lock': await poetryLock(parts.context, '2.5', files, { git: folder }) }
    const lines: string[] = []
    const spec = await loadSpec(codeFiles(locked), { interpreter: 'poetry.lock' })
    const report = (line: string) => void lines.push(line)
    const { artifacts } = await parts.builder.resolve(base, spec, probe, { ...STEP, report })
    const found = artifacts.find(({ name }) => name === 'lib')
    assert.deepEqual([found?.kind, found?.commit, found?.editable], ['vcs', commit, undefined])
    // Where a host that does not give it is said.
    assert.deepEqual(locate(spec, 'lib'), { file: 'pyproject.toml', line: 9 })
    assert.ok(
      lines.some((line) => /^lib: its code is that of the locked commit, whatever develop = true says/.test(line)),
      lines.join('\n'),
    )
  })

  test('a release that was yanked is taken as it is locked, and said', async () => {
    const files = { 'pyproject.toml': poetryProject(['attrs = "21.1.0"']) }
    const locked = { ...files, 'poetry.lock': await poetryLock(parts.context, '2.5', files) }
    const lines: string[] = []
    const spec = await loadSpec(codeFiles(locked), { interpreter: 'poetry.lock' })
    const report = (line: string) => void lines.push(line)
    await parts.builder.resolve(base, spec, probe, { ...STEP, report })
    assert.ok(
      lines.some((line) => /^attrs 21\.1\.0 was yanked: \S/.test(line)),
      lines.join('\n'),
    )
  })

  describe('a release of old, with files whose names are none today', () => {
    const files = { 'pyproject.toml': poetryProject(['pytz = "2015.7"']), 'poetry.lock': '' }
    before(async () => {
      files['poetry.lock'] = await poetryLock(parts.context, '2.5', { 'pyproject.toml': files['pyproject.toml'] })
    })
    const without = (names: string) =>
      resolve({
        ...files,
        'poetry.lock': files['poetry.lock'].replace(new RegExp(`^ *\\{file = "pytz-.*(?:${names})".*\n`, 'gm'), ''),
      })
    const found = ({ artifacts }: Lock) => artifacts.find(({ name }) => name === 'pytz')

    test('its wheel is taken', async () => {
      assert.match(files['poetry.lock'], /pytz-2015\.7\.tar\.bz2/)
      assert.equal(found(await resolve(files))?.filename, 'pytz-2015.7-py2.py3-none-any.whl')
    })

    test('a source alone is taken by its URL', async () => {
      const { kind, version, filename, url } = found(await without('whl|tar\\.gz|zip')) ?? {}
      assert.deepEqual([kind, version, filename], ['sdist', '2015.7', 'pytz-2015.7.tar.bz2'])
      assert.match(url ?? '', /^https:.*\/pytz-2015\.7\.tar\.bz2$/)
    })
  })

  describe('what is wrong', () => {
    const project = PROJECT.replace('package-mode = false\n', '')
    let lock = ''
    before(async () => {
      lock = await poetryLock(parts.context, '2.5', { 'pyproject.toml': project })
    })
    const refused = (files: Record<string, string>, request?: Partial<InterpreterRequest>) =>
      refusal(resolve({ 'pyproject.toml': PROJECT, 'poetry.lock': lock, ...files }, request))

    test('a lock older than its project', async () => {
      const { file, message, hint } = await refused({ 'pyproject.toml': PROJECT.replace('"3.6"', '"3.7"') })
      assert.equal(file, 'poetry.lock')
      assert.match(message, /pyproject\.toml changed significantly since poetry\.lock was last generated/)
      assert.equal(hint, 'Run "poetry lock" and commit poetry.lock.')
    })

    for (const [python, said] of [
      ['^3.10', /^poetry\.lock:\d+: it needs Python \^3\.10, and this base has 3\.9\.\d+$/],
      // Not understood before poetry is asked.
      [
        '>=3.10.0rc1',
        /^pyproject\.toml:8: Current Python version \(3\.9\.\d+\) is not allowed by the project \(>=3\.10/,
      ],
    ] as const) {
      test(`a Python that the project does not allow: ${python}`, async () => {
        const newer = { 'pyproject.toml': project.replace('^3.9', python) }
        const files = { ...newer, 'poetry.lock': await poetryLock(parts.context, '2.5', newer) }
        const spec = await loadSpec(codeFiles(files), { interpreter: 'poetry.lock' })
        assert.equal(spec.requiresPython, python)
        const older = await testBase('3.9')
        const asked = parts.builder.resolve(older, spec, await parts.builder.probe(older, STEP), ASK)
        await assert.rejects(asked, { name: 'ResolutionFailed', message: said })
      })
    }

    test('a group or an extra that the project does not have', async () => {
      const group = await refused({}, { groups: ['tests'] })
      assert.match(group.message, /^pyproject\.toml: groups: tests not found; the project has dev, docs, main$/)
      const without = await refused({}, { 'without-groups': ['tests'] })
      assert.match(
        without.message,
        /^pyproject\.toml: without-groups: tests not found; the project has dev, docs, main$/,
      )
      const extra = await refused({}, { extras: ['plots'] })
      assert.match(extra.message, /^pyproject\.toml: extras: plots not found; the project has versions$/)
    })

    test('a hash that is not that of the index', async () => {
      const { file, line, message, hint } = await refused({
        'poetry.lock': lock.replace('sha256:c05567', 'sha256:d05567'),
      })
      assert.equal(file, 'poetry.lock')
      assert.ok((line ?? 0) > 1)
      assert.match(message, /idna: idna-3\.6-py3-none-any\.whl has sha256 c05567\w+ on the index, and d05567/)
      assert.match(hint, /"poetry lock"/)
    })

    test('a package that the index does not have', async () => {
      const { message } = await refused({ 'poetry.lock': lock.replace('"idna"', '"no-such-package-of-ours"') })
      assert.match(message, /no-such-package-of-ours: it is not on the index/)
    })

    test('a version of the lock file that is to come, and a damaged one', async () => {
      const newer = await refused({ 'poetry.lock': lock.replace('lock-version = "2.1"', 'lock-version = "3.0"') })
      assert.match(newer.message, /The lock file is not compatible with the current version of Poetry/)
      const damaged = await refused({ 'poetry.lock': lock.replace('groups = ["main"]', '') })
      assert.match(damaged.message, /^poetry\.lock: poetry can't read it \(KeyError: 'groups'\)/)
    })

    test('a project that poetry finds fault with, by its own explanation in full', async () => {
      const { file, message, hint } = await refused({
        'pyproject.toml': PROJECT.replace('version = "0.3.0"', 'versio = 3'),
      })
      assert.equal(file, 'pyproject.toml')
      assert.match(message, /'versio' was unexpected/)
      assert.match(hint, /"poetry check"/)
    })

    test('a package without a file for this Python, with what makes a lock that has one', async () => {
      const wheel = lock.replace(/^ *\{file = "idna-3\.6\.tar\.gz".*\n/m, '')
      const spec = await loadSpec(codeFiles({ 'pyproject.toml': PROJECT, 'poetry.lock': wheel }), {
        interpreter: 'poetry.lock',
      })
      const other = { ...probe, tags: ['cp311-cp311-manylinux_2_36_x86_64'] }
      const { message, hint } = await refusal(parts.builder.resolve(base, spec, other, ASK))
      const why = 'No wheel found matching the provided tags, and no sdist available as a fallback'
      assert.equal(message, `pyproject.toml:10: idna: ${why}`)
      assert.match(hint, /^Lock a version that has files for Python 3\.11\.\d+ on x86_64 .*: "poetry update idna"\.$/)
    })

    test('a package for other systems only, with the marker that excludes it', async () => {
      const files = { 'pyproject.toml': poetryProject(['pywin32 = "308"']) }
      const locked = { ...files, 'poetry.lock': await poetryLock(parts.context, '2.5', files) }
      const { message, hint } = await refused(locked)
      assert.match(message, /^pyproject\.toml:9: pywin32: .* for Windows only.*: pywin32 ; sys_platform == "win32"$/)
      assert.match(hint, /^Exclude it by that marker where it is asked for\. Run "poetry lock"/)
    })

    test('a path outside of the repository', async () => {
      const path =
        '[[package]]\nname = "tool"\nversion = "1"\noptional = false\npython-versions = "*"\ngroups = ["main"]\nfiles = []\n\n[package.source]\ntype = "directory"\nurl = "../tool"\n\n'
      const { message, hint } = await refused({ 'poetry.lock': path + lock })
      assert.equal(message, 'poetry.lock:2: tool: its path leads out of the repository: ../tool')
      assert.match(hint, /Move it into the repository/)
    })
  })
})
