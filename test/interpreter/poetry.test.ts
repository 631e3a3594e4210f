import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EnvironmentFileError } from '../../common/environment-file-error.ts'
import { loadSpec, locate, lockSpec } from '../../service/interpreter/formats.ts'
import { ResolverRefused } from '../../service/interpreter/resolution.ts'
import { codeFiles } from '../support/code-files.ts'
import { exampleProbe } from '../support/probe.ts'

/** What is said of a poetry project without asking anybody. */

const PROJECT = `[tool.poetry]
name = "shop"

[tool.poetry.dependencies]
python = "^3.9"
Typing_Extensions = "*"
`
const LOCK = `[[package]]
name = "typing-extensions"
version = "4.12.2"

[metadata]
lock-version = "2.1"
python-versions = "^3.9"
`
const FILES = { 'pyproject.toml': PROJECT, 'poetry.lock': LOCK }

const load = (files: Record<string, string | Buffer>, interpreter = 'poetry.lock') =>
  loadSpec(codeFiles(files), { interpreter })

const source = (url: string, type = 'git') =>
  LOCK.replace('[metadata]', `[package.source]\ntype = "${type}"\nurl = "${url}"\n\n[metadata]`)

for (const [what, files, message, hint] of [
  ['no lock', { 'pyproject.toml': PROJECT }, 'poetry.lock: there is no such file', /"poetry lock"/],
  ['no project', { 'poetry.lock': LOCK }, 'pyproject.toml: there is no such file', /poetry\.lock was made from/],
  ['an empty lock', { ...FILES, 'poetry.lock': '\n' }, 'poetry.lock: is empty', /Run "poetry lock"/],
  [
    'a lock with a conflict of a merge',
    { ...FILES, 'poetry.lock': `${LOCK}<<<<<<< HEAD\n` },
    /^poetry\.lock:8: Invalid TOML/,
    /Run "poetry lock"/,
  ],
  [
    'a project with a typing error',
    { ...FILES, 'pyproject.toml': PROJECT.replace('"shop"', '"shop') },
    /^pyproject\.toml:2: Invalid TOML/,
    /Correct this line/,
  ],
  [
    'a lock that is no text',
    { ...FILES, 'poetry.lock': Buffer.from(`${LOCK}# \xe9\n`, 'latin1') },
    'poetry.lock:8: is not UTF-8',
    /Save it as UTF-8/,
  ],
  [
    'a git dependency by ssh',
    { ...FILES, 'poetry.lock': source('git@example.org:octo/shared.git') },
    /^poetry\.lock:2: typing-extensions: git@example\.org:octo\/shared\.git needs a key/,
    /https: URL/,
  ],
  [
    'a git dependency with a password',
    { ...FILES, 'poetry.lock': source('https://octo:hunter2@example.org/octo/shared.git') },
    'poetry.lock:2: typing-extensions: its URL holds a user name or password',
    /Take it out/,
  ],
] as const) {
  test(`${what} is said`, async () => {
    await assert.rejects(load(files), (error) => {
      assert.ok(error instanceof EnvironmentFileError, String(error))
      if (typeof message === 'string') assert.equal(error.message, message)
      else assert.match(error.message, message)
      assert.match(error.hint, hint)
      return true
    })
  })
}

test('a lock in a folder, with the project beside it', async () => {
  const files = { 'apps/shop/pyproject.toml': PROJECT, 'apps/shop/poetry.lock': LOCK, 'pyproject.toml': 'not it' }
  const spec = await load(files, 'apps/shop/poetry.lock')
  assert.deepEqual(Object.keys(spec.files).sort(), ['apps/shop/poetry.lock', 'apps/shop/pyproject.toml'])
  await assert.rejects(load({ ...files, 'apps/shop/poetry.lock': '' }, 'apps/shop/poetry.lock'), {
    hint: 'Run "poetry lock --directory apps/shop" and commit apps/shop/poetry.lock.',
  })
})

test('UTF-16, a byte order mark and CRLF make the same spec', async () => {
  const spec = await load(FILES)
  const crlf = (text: string) => text.replaceAll('\n', '\r\n')
  assert.deepEqual(
    await load({
      'pyproject.toml': Buffer.from(`\ufeff${crlf(PROJECT)}`),
      'poetry.lock': Buffer.from(`\ufeff${crlf(LOCK)}`, 'utf16le'),
    }),
    spec,
  )
})

test('a package that can not be installed in any way is said where it is asked for', async () => {
  const refusing = () => {
    throw new ResolverRefused('kind', 'version 4.12.2 has neither a wheel nor a source', 'typing-extensions')
  }
  await assert.rejects(lockSpec(await load(FILES), exampleProbe, refusing), {
    message: 'pyproject.toml:6: typing-extensions: version 4.12.2 has neither a wheel nor a source',
    hint: /^Depend on a release that has a wheel or a source distribution/,
  })
})

test('a package is found where the project asks for it, else in the lock', async () => {
  const spec = await load(FILES)
  assert.deepEqual(locate(spec, 'typing-extensions'), { file: 'pyproject.toml', line: 6 })
  const bare = await load({ ...FILES, 'pyproject.toml': '' })
  assert.deepEqual(locate(bare, 'typing-extensions'), { file: 'poetry.lock', line: 2 })
  assert.equal(locate(bare, 'numpy'), undefined)
})
