import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { EnvironmentFileError } from '../../common/environment-file-error.ts'
import { loadSpec } from '../../service/interpreter/formats.ts'
import { codeFiles } from '../support/code-files.ts'

/** What a file may be instead of what it should: every format through the same cases. */

const PROJECT = '[project]\nname = "wood"\nversion = "1"\ndependencies = ["idna"]\n'
const PYTHON = 'https://conda.example.com/ours/linux-64/python-3.11.7-h1_0.conda'
const CONDA_LOCK = `version: 1
package:
- {name: python, version: 3.11.7, manager: conda, platform: linux-64, url: ${PYTHON}, hash: {}}
`
const POETRY = '[tool.poetry]\nname = "wood"\nversion = "1"\n'

/** Each with files that go with it. */
const FORMATS = [
  { path: 'requirements.txt', text: 'idna==3.7\nsix\n', beside: {}, empty: undefined },
  { path: 'pyproject.toml', text: PROJECT, beside: {}, empty: /it has no \[project\] with a name/ },
  { path: 'uv.lock', text: 'version = 1\nrevision = 3\n', beside: { 'pyproject.toml': PROJECT }, empty: /is empty/ },
  {
    path: 'poetry.lock',
    text: '[metadata]\nlock-version = "2.1"\n',
    beside: { 'pyproject.toml': POETRY },
    empty: /is empty/,
  },
  { path: 'pylock.toml', text: 'lock-version = "1.0"\npackages = []\n', beside: {}, empty: /is empty/ },
  {
    path: 'environment.yml',
    text: 'dependencies:\n- python\n- pip:\n  - six\n',
    beside: {},
    empty: /it is empty/,
  },
  { path: 'conda-linux-64.lock', text: `@EXPLICIT\n${PYTHON}\n`, beside: {}, empty: /it is empty/ },
  { path: 'conda-lock.yml', text: CONDA_LOCK, beside: {}, empty: /it is empty/ },
]

for (const { path, text, beside, empty } of FORMATS) {
  describe(path, () => {
    const load = (content: string | Buffer | undefined, interpreter = path) =>
      loadSpec(codeFiles({ ...beside, ...(content !== undefined && { [path]: content }) }), { interpreter })
    const refused = async (content: string | Buffer | undefined): Promise<EnvironmentFileError> =>
      load(content).then(
        () => assert.fail('loaded'),
        (error) => {
          assert.equal(error.name, 'EnvironmentFileError', error.stack)
          assert.equal(error.file, path)
          assert.notEqual(error.hint, '')
          return error
        },
      )

    test('that is not there', async () => {
      assert.match((await refused(undefined)).message, /there is no such file/)
    })

    test('as Windows writes it: UTF-16, a byte order mark, CRLF', async () => {
      const spec = await load(text)
      const crlf = `\ufeff${text.replaceAll('\n', '\r\n')}`
      assert.deepEqual(await load(Buffer.from(crlf, 'utf16le')), spec)
      assert.deepEqual(await load(Buffer.from(crlf)), spec)
    })

    test('that is no text', async () => {
      const { line, message } = await refused(Buffer.from([0x23, 0x0a, 0xc3, 0x28]))
      assert.equal(line, 2)
      assert.match(message, /is not UTF-8/)
    })

    test('that is empty', async () => {
      if (empty === undefined) assert.deepEqual((await load('')).files, { [path]: '' })
      else assert.match((await refused('')).message, empty)
    })
  })
}
