import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { loadSpec, locate, lockSpec, notesOn } from '../../service/interpreter/formats.ts'
import type { Lock } from '../../service/interpreter/lock.ts'
import { lockDiff } from '../../service/interpreter/lock-diff.ts'
import { lockKey } from '../../service/interpreter/lock-key.ts'
import { ResolverRefused } from '../../service/interpreter/resolution.ts'
import type { InterpreterSpec } from '../../service/interpreter/spec.ts'
import { chooseBase } from '../../service/policy/bases.ts'
import { codeFiles } from '../support/code-files.ts'
import { exampleProbe } from '../support/probe.ts'

/** A lock of `name==version` lines and what came with them. */
function lock(lines: string[], versions: Record<string, string>, source = 'requirements.txt'): Lock {
  return {
    digest: `sha256:${'0'.repeat(64)}`,
    text: '',
    artifacts: Object.entries(versions).map(([name, version]) => ({
      name,
      version,
      kind: 'wheel',
      filename: `${name}.whl`,
    })),
    source,
    requirements: lines.map((text, index) => ({
      name: text.split(/[=<>]/, 1)[0] as string,
      text,
      file: source,
      line: index + 1,
    })),
    unpinned: [],
    resolvedAt: 0,
  }
}

const like = (lock: Lock) => ({ lock, alike: true })

describe('lock diff', () => {
  const before = lock(['numpy==2.1.0', 'pandas'], { numpy: '2.1.0', pandas: '2.2', pytz: '1' })

  test('what changed in the file, what came with it, and one sentence', () => {
    const after = lock(['numpy==2.1.1', 'pandas', 'rich'], {
      numpy: '2.1.1',
      pandas: '2.2',
      rich: '14.0',
      pygments: '2',
    })
    const { packages, sentence } = lockDiff(like(before), after)
    assert.deepEqual(packages, [
      { name: 'numpy', before: '2.1.0', after: '2.1.1', why: 'because requirements.txt:1 asks for numpy==2.1.1' },
      { name: 'pygments', after: '2', why: 'because requirements.txt changed' },
      { name: 'pytz', before: '1', why: 'because nothing asks for it any more' },
      { name: 'rich', after: '14.0', why: 'because requirements.txt:3 asks for rich' },
    ])
    assert.equal(
      sentence,
      'numpy 2.1.0 -> 2.1.1, added pygments 2, removed pytz 1, added rich 14.0, because requirements.txt changed',
    )
  })

  test('what came with another package says with which', () => {
    const after = lock(['numpy==2.1.1', 'pandas', 'rich'], {
      ...{ numpy: '2.1.1', pandas: '2.2', pytz: '1', rich: '14.0' },
      ...{ 'markdown-it-py': '3.0', mdurl: '0.1', pygments: '2' },
    })
    const edges: Record<string, string[]> = {
      'markdown-it-py': ['rich'],
      mdurl: ['markdown-it-py'],
      pygments: ['rich', 'elsewhere'],
      rich: ['pandas'],
    }
    const { packages, sentence } = lockDiff(like(before), after, (name) => edges[name] ?? [])
    assert.equal(
      sentence,
      'numpy 2.1.0 -> 2.1.1, added rich 14.0, because requirements.txt changed; ' +
        'added markdown-it-py 3.0, added pygments 2, because rich asks for them; ' +
        'added mdurl 0.1, because markdown-it-py asks for it',
    )
    assert.deepEqual(
      packages.map(({ name, why }) => [name, why]),
      [
        ['markdown-it-py', 'because rich asks for it'],
        ['mdurl', 'because markdown-it-py asks for it'],
        ['numpy', 'because requirements.txt:1 asks for numpy==2.1.1'],
        ['pygments', 'because rich asks for it'],
        ['rich', 'because requirements.txt:3 asks for rich'],
      ],
    )
    const newer = lock(['numpy==2.1.0', 'pandas'], { numpy: '2.1.0', pandas: '2.2', pytz: '2' })
    assert.equal(
      lockDiff(like(before), newer, () => ['numpy', 'pandas', 'pytz']).sentence,
      'pytz 1 -> 2, because numpy and pandas ask for it; it was resolved again, and requirements.txt leaves versions open',
    )
  })

  test('a lock that was made anew although what it is made of asks for the same', () => {
    const of = (versions: Record<string, string>): Lock => ({
      ...lock(['rich'], versions, 'pyproject.toml'),
      source: 'uv.lock',
    })
    const { packages, sentence } = lockDiff(like(of({ rich: '13' })), of({ rich: '14' }))
    assert.equal(sentence, 'rich 13 -> 14, because uv.lock changed')
    assert.equal(packages[0]?.why, 'because uv.lock changed')
  })

  test('the same again', () => {
    assert.deepEqual(lockDiff(like(before), before), { packages: [], sentence: 'no package changed' })
  })

  test('newer releases of what was left open', () => {
    const after = lock(['numpy==2.1.0', 'pandas'], { numpy: '2.1.0', pandas: '2.3', pytz: '1' })
    assert.equal(
      lockDiff(like(before), after).sentence,
      'pandas 2.2 -> 2.3, because it was resolved again, and requirements.txt leaves versions open',
    )
  })

  test('the first one, a requirement that is gone, many at once, another file', () => {
    assert.equal(lockDiff(undefined, before).sentence, '3 packages, because this environment is new')
    const gone = lockDiff(like(before), lock(['numpy==2.1.0'], { numpy: '2.1.0' }))
    assert.equal(gone.packages[0]?.why, 'because requirements.txt no longer asks for pandas')
    const many = lockDiff(like(before), lock([], Object.fromEntries([...'abcdef'].map((name) => [name, '1']))))
    assert.match(many.sentence, /^added a 1, added b 1, added c 1, added d 1, 5 more, because/)
    const moved = lockDiff(like(before), lock([], { numpy: '3' }, 'pylock.toml'))
    assert.match(moved.sentence, /because pylock.toml took the place of requirements.txt$/)
  })

  test('beside one that was made with other options or for another base', () => {
    const other = { lock: before, alike: false }
    assert.equal(lockDiff(other, before).sentence, 'no package changed, but the base image or its software did')
    const extra = lock(['numpy==2.1.0', 'pandas'], { numpy: '2.1.0', pandas: '2.2', pytz: '1', rich: '14.0' })
    assert.equal(
      lockDiff(other, extra).sentence,
      'added rich 14.0, because requirements.txt, or what is asked of it, changed',
    )
  })
})

describe('lock key', () => {
  const spec: InterpreterSpec = {
    format: 'requirements.txt',
    path: 'a.txt',
    files: { 'a.txt': 'six\n', 'b.txt': 'x\n' },
  }
  const key = (
    changed: Partial<InterpreterSpec> = {},
    probe = exampleProbe,
    platform = 'linux/amd64',
    index = 'default',
  ) => lockKey({ ...spec, ...changed }, probe, platform, index)

  test('the order of files does not count', () => {
    assert.equal(key({ files: { 'b.txt': 'x\n', 'a.txt': 'six\n' } }), key())
  })

  test('everything that resolving reads counts', () => {
    const others = [
      key({ files: { 'a.txt': 'six\n', 'b.txt': 'y\n' } }),
      key({ path: 'b.txt' }),
      key({ groups: ['dev'] }),
      key({ extras: ['dev'] }),
      key({ format: 'pylock.toml' }),
      key({}, { ...exampleProbe, version: '3.11.3' }),
      key({}, { ...exampleProbe, machine: 'aarch64' }),
      key({}, { ...exampleProbe, libc: { name: 'glibc', version: '2.31' } }),
      key({}, exampleProbe, 'linux/arm64'),
      key({}, exampleProbe, 'linux/amd64', 'https://example.org/simple'),
    ]
    assert.equal(new Set([...others, key()]).size, others.length + 1)
  })
})

describe('pylock.toml', () => {
  const text = 'lock-version = "1.0"\ncreated-by = "x"\n\n[[packages]]\nname = "Six"\n\n[[packages]]\nname = "rich"\n'
  const load = () => loadSpec(codeFiles({ 'pylock.toml': text }), { interpreter: 'pylock.toml' })
  const refusedAs = async (refusal: ResolverRefused) =>
    lockSpec(await load(), exampleProbe, () => Promise.reject(refusal)).then(
      () => assert.fail('resolved'),
      (error) => error,
    )

  test('is itself the lock', async () => {
    const made = await lockSpec(await load(), exampleProbe, async (request) => {
      assert.deepEqual(request, { lock: text, folder: '', groups: [], withoutGroups: [], extras: [] })
      return { text, artifacts: [] }
    })
    assert.deepEqual([made.text, made.unpinned, made.requirements], [text, [], []])
    assert.deepEqual(locate(await load(), 'six'), { file: 'pylock.toml', line: 5 })
  })

  test('what the project beside it asks for and it does not have is said, with the command that makes it anew', async () => {
    const rows = [
      'six==1.16.0',
      'rich>=13',
      'attrs',
      'colorama; sys_platform == "win32"',
      'elm @ file:///libs/elm',
      'wood[fast]',
    ]
    const project = `[project]\nname = "Wood"\ndependencies = [\n${rows.map((row) => `  '${row}',\n`).join('')}]\n[project.optional-dependencies]\nfast = ["toolz"]\n`
    const locked = (six: string, more = '', maker = 'uv') =>
      `lock-version = "1.0"\ncreated-by = "${maker}"\n[[packages]]\nname = "six"\nversion = "${six}"\n[[packages]]\nname = "attrs"\nversion = "25.1rc1"\n[[packages]]\nname = "elm"\ndirectory = { path = "libs/elm" }\n${more}`
    const notes = async (files: Record<string, string>, interpreter = 'ci/pylock.toml') =>
      notesOn(await loadSpec(codeFiles(files), { interpreter }))
    const rich = '[[packages]]\nname = "rich"\nversion = "14.0"\n'
    const beside = { 'ci/pyproject.toml': project }
    assert.deepEqual(await notes({ ...beside, 'ci/pylock.toml': locked('1.16.0', rich) }), [])
    const renewed = (fix: string) =>
      `ci/pylock.toml does not have what is asked for: six==1.16.0 of ci/pyproject.toml:4 (it has 1.17.0), rich>=13 of ci/pyproject.toml:5 (it has none). If it is older than that, ${fix}.`
    assert.deepEqual(await notes({ ...beside, 'ci/pylock.toml': locked('1.17.0') }), [
      renewed('run "uv export --format pylock.toml --output-file pylock.toml" and commit it'),
    ])
    assert.deepEqual(await notes({ ...beside, 'ci/pylock.toml': locked('1.17.0', '', 'hatch') }), [
      renewed('make it anew with hatch'),
    ])
    // Of something of its own, or nothing that can be compared.
    assert.deepEqual(await notes({ ...beside, 'ci/pylock.dev.toml': locked('1.17.0') }, 'ci/pylock.dev.toml'), [])
    assert.deepEqual(await notes({ 'ci/pyproject.toml': '[tool.x', 'ci/pylock.toml': locked('1.17.0') }), [])
    assert.deepEqual(await notes({ ...beside, 'ci/pylock.toml': '[' }), [])
  })

  test('the Pythons that it is for, not those of one of its packages', async () => {
    const spec = async (head: string) =>
      await loadSpec(codeFiles({ 'pylock.toml': `${head}${text}requires-python = ">=2.7"\n` }), {
        interpreter: 'pylock.toml',
      })
    assert.equal((await spec('requires-python = ">=3.12"\n')).requiresPython, '>=3.12')
    assert.equal((await spec('')).requiresPython, undefined)
    const { files, requiresPython } = await spec("requires-python = '>=3.12'\n")
    const wish = {
      format: 'pylock.toml' as const,
      path: 'pylock.toml',
      files,
      ...(requiresPython && { requiresPython }),
    }
    assert.equal(chooseBase({ '3.11': 'old', '3.13': 'new' }, wish), 'new')
    assert.throws(() => chooseBase({ '3.11': 'old' }, wish), /^NoBase: pylock\.toml:1: needs Python >=3\.12, and/)
  })

  test('a missing file', async () => {
    await assert.rejects(
      loadSpec(codeFiles({}), { interpreter: 'pylock.dev.toml' }),
      /^EnvironmentFileError: pylock.dev.toml: there is no/,
    )
    await assert.rejects(loadSpec(codeFiles({}), { interpreter: 'setup.cfg' }), /NotDetected/)
  })

  test('refusals name the line', async () => {
    assert.equal((await refusedAs(new ResolverRefused('kind', 'it is locked to x', 'rich'))).line, 8)
    assert.equal((await refusedAs(new ResolverRefused('lock', 'Invalid value (at line 3, column 5)'))).line, 3)
    assert.equal(
      (await refusedAs(new ResolverRefused('lock', "Missing required value in 'packages[1].wheels'"))).line,
      7,
    )
    const python = await refusedAs(
      new ResolverRefused('select', "python_full_version '3.11.2' does not satisfy '>=3.12'"),
    )
    assert.match(python.hint, /Lock for Python 3.11.2 on x86_64 with glibc 2.36, or ask for the python-version/)
  })
})
