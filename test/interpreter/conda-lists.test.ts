import assert from 'node:assert/strict'
import { test } from 'node:test'
import { InterpreterRequest } from '../../common/contract.ts'
import type { EnvironmentFileError } from '../../common/environment-file-error.ts'
import { loadSpec, lockSpec } from '../../service/interpreter/formats.ts'
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
      artifacts.map((artifact) => [artifact.name, artifact.kind, artifact.sha256, artifact.conda?.md5]),
      [
        ['a', 'conda', undefined, 'b'.repeat(32)],
        ['python', 'conda', HASH, undefined],
      ],
    )
    assert.deepEqual(conda, { subdir: 'linux-64', variables: {}, pip: [] })
  }
})

const BAD_LISTS: [what: string, text: string, message: RegExp][] = [
  ['empty', '', /^conda-x\.lock: it is empty$/],
  ['without its mark', `${PYTHON}\n`, /no line @EXPLICIT$/],
  ['a line that is no URL', `@EXPLICIT\nnumpy=1\n`, /^conda-x\.lock:2: numpy=1 is no URL/],
  ['a hash that is none', `@EXPLICIT\n${PYTHON}#123\n`, /^conda-x\.lock:2: #123 is neither an md5 nor a sha256/],
  ['twice the same', `@EXPLICIT\n${PYTHON}\n\n${PYTHON}\n`, /^conda-x\.lock:4: python is listed on line 2 already/],
]
for (const [what, text, message] of BAD_LISTS)
  test(`an explicit list is refused: ${what}`, async () => {
    await assert.rejects(load({ 'conda-x.lock': text }, 'conda-x.lock'), { name: 'EnvironmentFileError', message })
  })

test('addresses with credentials are refused, as they would be shown and kept; and are not shown', async () => {
  const lock = LOCKED.replace(PYTHON, PYTHON.replace('//', '//user:secret@'))
  for (const [path, text, line] of [
    ['conda-x.lock', '@EXPLICIT\nhttps://user:secret@example.com/linux-64/x-1-0.conda\n', 2],
    ['conda-x.lock', '@EXPLICIT\nhttps://example.com/t/secret/ours/linux-64/x-1-0.conda\n', 2],
    ['conda-x.lock', '@EXPLICIT\n# pip six @ https://user:secret@example.com/six-1-py3-none-any.whl\n', 2],
    ['environment.yml', 'channels:\n- https://user:secret@example.com/ours\ndependencies: [python]\n', 2],
    ['environment.yml', 'dependencies: [python, "https://example.com/t/secret/ours::x"]\n', 1],
    ['environment.yml', 'dependencies: [python, "https://user:secret@example.com/ours/noarch/x-1-0.conda"]\n', 1],
    ['conda-lock.yml', lock, 4],
  ] as const)
    await assert.rejects(
      async () => await lockSpec(await load({ [path]: text }, path), exampleProbe, unasked),
      (error: EnvironmentFileError) => {
        assert.deepEqual([error.name, error.line], ['EnvironmentFileError', line])
        assert.match(error.message, /user name, password or token/)
        assert.doesNotMatch(error.message, /secret/)
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

test('conda-lock.yml: without this platform, of another version, no YAML', async () => {
  const mac = LOCKED.replaceAll('platform: linux-64', 'platform: osx-64')
  await assert.rejects(lock({ 'conda-lock.yml': mac }, 'conda-lock.yml'), { message: /made for osx-64, osx-arm64 and/ })
  const bad = (text: string) => load({ 'conda-lock.yml': text }, 'conda-lock.yml')
  await assert.rejects(bad(LOCKED.replace('version: 1', 'version: 2')), { message: /version 1: version/ })
  await assert.rejects(bad('version: 1\npackage: ['), { name: 'EnvironmentFileError', message: /conda-lock\.yml/ })
  await assert.rejects(bad(''), { message: /it is empty/ })
})
