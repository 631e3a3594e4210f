import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseDepends, parseRequires } from '../../service/image/requires.ts'

test("a wheel's metadata says what it needs, always or with an extra", () => {
  const metadata = [
    'Metadata-Version: 2.4',
    'Name: rich',
    'Requires-Dist: pygments<3.0.0,>=2.13.0',
    'Requires-Dist: Markdown_It.Py >=2.2.0',
    "Requires-Dist: ipywidgets<9,>=7.5.1; extra == 'jupyter'",
    "requires-dist:typing-extensions ; python_version < '3.11'",
    'Requires-Dist: local @ https://example.org/a;b.whl',
    'Requires-Dist: -bad',
    '',
    'Requires-Dist: not-a-header',
  ]
  const expected = {
    always: ['pygments', 'markdown-it-py', 'typing-extensions', 'local'],
    extra: ['ipywidgets'],
  }
  assert.deepEqual(parseRequires(metadata.join('\n')), expected)
  assert.deepEqual(parseRequires(metadata.join('\r\n')), expected)
  assert.deepEqual(parseRequires(''), { always: [], extra: [] })
})

test('a conda package says what it depends on', () => {
  const depends = ['python >=3.11,<3.12.0a0', '_libgcc_mutex', 'libblas>=3.9']
  assert.deepEqual(parseDepends(JSON.stringify({ depends })).always, ['python', '_libgcc_mutex', 'libblas'])
  for (const text of ['{}', 'null', '{', '{"depends": 3}']) assert.deepEqual(parseDepends(text).always, [], text)
})
