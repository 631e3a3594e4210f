import assert from 'node:assert/strict'
import { test } from 'node:test'
import { detect, FORMATS, formatOf } from '../../common/detect.ts'

test('the file at the root is found, a lock before what it was made from', () => {
  assert.deepEqual(detect(['a/requirements.txt', 'requirements.txt']), {
    path: 'requirements.txt',
    format: 'requirements.txt',
  })
  assert.deepEqual(detect(['requirements.txt', 'pylock.toml']), { path: 'pylock.toml', format: 'pylock.toml' })
})

test('nothing that fits names what was looked for', () => {
  assert.throws(() => detect(['a/pylock.toml', 'README.md']), {
    name: 'NotDetected',
    code: 'no-environment-file',
    message: /pylock\.toml, .*requirements\.txt/,
    hint: /"interpreter"/,
  })
})

test('two formats of one rank are not chosen between', () => {
  const formats = FORMATS.map((row) => ({ ...row, rank: 1 }))
  assert.throws(() => detect(['requirements.txt', 'pylock.toml'], formats), {
    code: 'ambiguous-environment-file',
    message: /both pylock\.toml and requirements\.txt/,
  })
})

test('a named file has the format of its name', () => {
  assert.equal(formatOf('deep/pylock.gpu.toml').format, 'pylock.toml')
  assert.equal(formatOf('requirements/dev.txt').format, 'requirements.txt')
  assert.equal(formatOf('dev.in').format, 'requirements.txt')
  for (const name of ['setup.py', 'pylock.a.b.toml', 'txt', 'requirements.txt/x']) {
    assert.throws(() => formatOf(name), { code: 'unknown-environment-file' }, name)
  }
})
