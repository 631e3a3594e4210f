import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { loadSpec, locate, lockSpec } from '../../service/interpreter/formats.ts'
import type { Lock } from '../../service/interpreter/lock.ts'
import { lockDiff } from '../../service/interpreter/lock-diff.ts'
import { lockKey } from '../../service/interpreter/lock-key.ts'
import { ResolverRefused } from '../../service/interpreter/resolution.ts'
import type { InterpreterSpec } from '../../service/interpreter/spec.ts'
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
