import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { requirementsClosure } from '../../common/requirements-closure.ts'

const reading = (files: Record<string, string | Uint8Array>) => async (path: string) => {
  const content = Object.hasOwn(files, path) ? files[path] : undefined
  return typeof content === 'string' ? Buffer.from(content) : content
}
const closure = (files: Record<string, string | Uint8Array>, path = 'requirements.txt') =>
  requirementsClosure(reading(files), path)

test('every way to write an include is followed, relative to its own file', async () => {
  const files = {
    'requirements.txt': '-r sub/a.txt\n--requirement=sub/b.txt # why\n  -rsub/c.txt\n-c "with space.txt"\n',
    'sub/a.txt': '-r ../base.txt\n--constraint \\\n  d.txt\n',
    'sub/b.txt': 'numpy \\\n  --hash=sha256:00 # -r nothing.txt\n# -r nothing.txt\n',
    'sub/c.txt': '-c\t../base.txt\nrequests @ https://example.org/-r\n',
    'sub/d.txt': '',
    'base.txt': 'six',
    'with space.txt': 'six<2',
    'unrelated.txt': '',
  }
  const { 'unrelated.txt': _, ...expected } = files
  assert.deepEqual(await closure(files), expected)
})

test('what an include may not be is said with file and line', async () => {
  const cases: [string, RegExp][] = [
    ['six\n\n-r missing.txt', /^requirements\.txt:3: .*there is no missing\.txt/],
    ['-r ../up.txt', /^requirements\.txt:1: .*leads outside/],
    ['-r a/../../up.txt', /^requirements\.txt:1: .*leads outside/],
    ['six # x\n-c /etc/passwd', /^requirements\.txt:2: .*leads outside/],
    ['-r https://example.org/r.txt', /^requirements\.txt:1: .*is a URL/],
    ['-r https://me:s3cret@example.org/r.txt', /^requirements\.txt:1: -r https:\/\/example\.org\/r\.txt is a URL/],
    ['-r "a#b.txt"', /^requirements\.txt:1: .*has a quote, # or/],
    ['-r file:///etc/passwd', /^requirements\.txt:1: .*is a URL/],
    ['-r a\\b.txt', /^requirements\.txt:1: .*backslash/],
    ['six\n-r ./requirements.txt', /^requirements\.txt:2: .*circle: requirements\.txt -> requirements\.txt/],
  ]
  for (const [content, message] of cases) {
    await assert.rejects(closure({ 'requirements.txt': content }), { name: 'EnvironmentFileError', message }, content)
  }
  await assert.rejects(closure({ 'requirements.txt': '-r a/b.txt', 'a/b.txt': '\n-c c.txt', 'a/c.txt': '-r b.txt' }), {
    file: 'a/c.txt',
    line: 1,
    message: /circle: a\/b\.txt -> a\/c\.txt -> a\/b\.txt/,
  })
  await assert.rejects(closure({}), { message: /there is no such file/ })
})

test('byte order marks, UTF-16 and CRLF are read as pip reads them', async () => {
  const text = '-r b.txt\r\nsix\r\n'
  const utf16le = Buffer.from(`\ufeff${text}`, 'utf16le')
  const encodings = [Buffer.from(text), Buffer.from(`\ufeff${text}`), utf16le, Buffer.from(utf16le).swap16()]
  for (const bytes of encodings) {
    assert.deepEqual(await closure({ 'requirements.txt': bytes, 'b.txt': '' }), {
      'requirements.txt': '-r b.txt\nsix\n',
      'b.txt': '',
    })
  }
})

test('bytes that are no text are refused with their line', async () => {
  const bad = Buffer.from([0x61, 0x0d, 0x0a, 0xff, 0x0a])
  await assert.rejects(closure({ 'requirements.txt': bad }), { line: 2, message: /not UTF-8/ })
  await assert.rejects(closure({ 'requirements.txt': 'a\n\nb\0' }), { line: 3, message: /NUL/ })
})

test('the closure is what can be reached, whatever the shape of the includes', async () => {
  const edges = fc.array(fc.tuple(fc.nat(9), fc.nat(9)), { maxLength: 30 })
  await fc.assert(
    fc.asyncProperty(edges, async (pairs) => {
      // Only upwards: no circles.
      const upwards = pairs.filter(([from, to]) => from < to)
      const name = (n: number) => (n === 0 ? 'requirements.txt' : `${n}.txt`)
      const files = Object.fromEntries(
        Array.from({ length: 10 }, (_, n) => [
          name(n),
          upwards
            .filter(([from]) => from === n)
            .map(([, to]) => `-r ${name(to)}\n`)
            .join(''),
        ]),
      )
      const reached = new Set([0])
      for (const from of Array(10).keys()) {
        if (reached.has(from)) for (const [a, to] of upwards) if (a === from) reached.add(to)
      }
      assert.deepEqual(Object.keys(await closure(files)).sort(), [...reached].map(name).sort())
    }),
  )
})
