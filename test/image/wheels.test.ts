import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { posix } from 'node:path'
import { test } from 'node:test'
import { deflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import { parentFolders } from '../../service/image/folders.ts'
import { END_MEMBER } from '../../service/image/gzip.ts'
import { contentsByPython, seenByPython, sha256, transcode } from '../support/transcode.ts'
import { makeWheel, type WheelSpec, wheelEntries, wheelFilename, withRecord } from '../support/wheels.ts'
import { writeZip, type ZipSpec } from '../support/zip-writer.ts'

const site = 'opt/env/lib/python3.11/site-packages'
const info = `${site}/sample-1.0.dist-info`

/** What is installed of a wheel, by path. */
async function installed(spec: WheelSpec, wheel = makeWheel(spec)): Promise<Map<string, string>> {
  const { members } = await transcode(wheel, wheelFilename(spec))
  return new Map([...contentsByPython(members)].map(([path, content]) => [path, content.toString('latin1')]))
}

test('every part of a wheel goes to its place', async () => {
  const spec: WheelSpec = {
    name: 'Sample',
    version: '1.0',
    files: { 'sample/__init__.py': '', 'sample/native.so': { content: 'ELF', mode: 0o755 } },
    scripts: {
      tool: '#!python -s\nprint(1)\n',
      'tool-w': '#!pythonw\r\nx',
      shell: '#!/bin/sh\n',
      binary: Buffer.from([0x7f, 0x45]),
    },
    data: {
      'purelib/pure.py': 'p',
      'platlib/plat.so': { content: 'q', mode: 0o700 },
      'headers/sample.h': 'h',
      'data/share/x/y': 'd',
      'data/lib64/z': 'e',
      'data/etc/run': { content: 'r', mode: 0o755 },
    },
    consoleScripts: ['go = sample.cli:main', 'deep=sample:Class.method [extra1, extra2]'],
    guiScripts: ['gui = sample:gui'],
  }
  const { name, version, entries, members, tarSize, diffId } = await transcode(makeWheel(spec), wheelFilename(spec))
  assert.deepEqual([name, version], ['sample', '1.0'])
  const info = `${site}/Sample-1.0.dist-info`
  assert.deepEqual(
    entries.map(({ path, mode }) => [path, mode.toString(8)]),
    [
      ['opt/env/bin/binary', '755'],
      ['opt/env/bin/deep', '755'],
      ['opt/env/bin/go', '755'],
      ['opt/env/bin/gui', '755'],
      ['opt/env/bin/shell', '755'],
      ['opt/env/bin/tool', '755'],
      ['opt/env/bin/tool-w', '755'],
      ['opt/env/etc/run', '755'],
      ['opt/env/include/site/python3.11/Sample/sample.h', '644'],
      [`${info}/INSTALLER`, '644'],
      [`${info}/METADATA`, '644'],
      [`${info}/RECORD`, '644'],
      [`${info}/WHEEL`, '644'],
      [`${info}/entry_points.txt`, '644'],
      [`${site}/plat.so`, '755'],
      [`${site}/pure.py`, '644'],
      [`${site}/sample/__init__.py`, '644'],
      [`${site}/sample/native.so`, '755'],
      ['opt/env/lib/z', '644'],
      ['opt/env/share/x/y', '644'],
    ],
  )
  const contents = contentsByPython(members)
  const text = (path: string) => contents.get(path)?.toString()
  assert.equal(text('opt/env/bin/tool'), '#!/opt/env/bin/python\nprint(1)\n')
  assert.equal(text('opt/env/bin/tool-w'), '#!/opt/env/bin/python\nx')
  assert.equal(text('opt/env/bin/shell'), '#!/bin/sh\n')
  assert.equal(text(`${info}/INSTALLER`), 'meadow\n')
  assert.equal(
    text('opt/env/bin/deep'),
    `#!/opt/env/bin/python
# -*- coding: utf-8 -*-
import re
import sys
from sample import Class
if __name__ == "__main__":
    sys.argv[0] = re.sub(r"(-script\\.pyw|\\.exe)?$", "", sys.argv[0])
    sys.exit(Class.method())
`,
  )
  // RECORD lists all that is installed, rightly, relative to site-packages, in the order of its paths.
  const rows = text(`${info}/RECORD`)?.trimEnd().split('\n') ?? []
  const expected = entries.map(({ path, sha256, size }) => {
    const relative = posix.relative(site, path)
    if (relative.endsWith('/RECORD')) return `${relative},,`
    return `${relative},sha256=${Buffer.from(sha256, 'hex').toString('base64url')},${size}`
  })
  assert.deepEqual(rows, expected.sort())
  const tar = execFileSync('gzip', ['-dc'], { input: members })
  assert.deepEqual([tarSize, diffId], [tar.length, `sha256:${sha256(tar)}`])
})

test('a launcher takes the place of a script of its name', async () => {
  const spec = { name: 'sample', version: '1.0', scripts: { go: 'old' }, consoleScripts: ['go = sample:main'] }
  const contents = await installed(spec)
  assert.match(contents.get('opt/env/bin/go') ?? '', /from sample import main/)
})

test('what a wheel says of its installer is replaced', async () => {
  const files = { 'sample-1.0.dist-info/INSTALLER': 'other\n', 'sample-1.0.dist-info/direct_url.json': '{}' }
  const contents = await installed({ name: 'sample', version: '1.0', files })
  assert.equal(contents.get(`${info}/INSTALLER`), 'meadow\n')
  assert.equal(contents.get(`${info}/direct_url.json`), '{}')
})

test('commands whose names only begin like the interpreter are installed', async () => {
  const spec = { name: 'sample', version: '1.0', scripts: { 'python-check': 'x', pythonic: 'y' } }
  const contents = await installed(spec)
  assert.equal(contents.get('opt/env/bin/python-check'), 'x')
})

test('signatures of RECORD are installed without a hash', async () => {
  const spec: WheelSpec = { name: 'sample', version: '1.0' }
  const specs = [...withRecord(spec, wheelEntries(spec)), { name: 'sample-1.0.dist-info/RECORD.jws', content: '{}' }]
  const contents = await installed(spec, writeZip(specs))
  assert.match(contents.get(`${info}/RECORD`) ?? '', /^sample-1\.0\.dist-info\/RECORD\.jws,,$/m)
})

for (const [filename, folder] of [
  ['zope.interface-8.0-py3-none-any.whl', 'zope_interface-8.0'],
  ['Zope_Interface-8.0-1build-py3-none-any.whl', 'zope.interface-8.0'],
  ['sample-2024.1.5-py3-none-any.whl', 'sample-2024.01.05'],
  ['sample-1.0-py3-none-any.whl', 'sample-1.0.0'],
  ['sample-1.0rc1-py3-none-any.whl', 'sample-1.0.c1'],
  ['sample-1.0+cpu.1-py3-none-any.whl', 'sample-1.0_cpu.1'],
  ['sample-1.0.post2.dev3-py3-none-any.whl', 'sample-1.0_post2_dev3'],
  ['sample-1!2.0b0-py3-none-any.whl', 'sample-1!2.0.beta'],
] as const) {
  test(`${filename} may hold ${folder}.dist-info`, async () => {
    const spec: WheelSpec = { name: 'sample', version: '1.0' }
    const [base, renamed] = ['sample-1.0.dist-info', `${folder}.dist-info`]
    const specs = withRecord(spec, wheelEntries(spec)).map((one) => ({
      ...one,
      name: String(one.name).replace(base, renamed),
      content: one.name === `${base}/RECORD` ? String(one.content).replaceAll(base, renamed) : (one.content ?? ''),
    }))
    await transcode(writeZip(specs), filename)
  })
}

const spec: WheelSpec = { name: 'sample', version: '1.0', files: { 'a.py': 'a = 1\n', 'b.txt': 'b'.repeat(70_000) } }
const variants: Record<string, (one: ZipSpec) => ZipSpec> = {
  'ZIP64 sizes': (one) => ({ ...one, zip64: true }),
  'sums after the data': (one) => ({ ...one, descriptor: true }),
  'nothing compressed': (one) => ({ ...one, stored: true }),
  'other compression': (one) => ({ ...one, raw: deflateRawSync(Buffer.from(one.content ?? ''), { level: 1 }) }),
  'modes of another system': (one) => ({ ...one, mode: 0 }),
}
for (const [what, change] of Object.entries(variants)) {
  test(`legitimate: ${what}`, async () => {
    const plain = await installed(spec)
    const wheel = writeZip(withRecord(spec, wheelEntries(spec)).map(change), { zip64: what === 'ZIP64 sizes' })
    assert.deepEqual(await installed(spec, wheel), plain)
  })
}

test('legitimate: a comment at the end, folders as entries, hashes better than sha256, padded base64', async () => {
  const plain = await installed(spec)
  const folders: ZipSpec[] = [
    { name: 'sample-1.0.dist-info/', mode: 0o040755 },
    { name: 'x/', mode: 0 },
  ]
  const specs = [...folders, ...withRecord(spec, wheelEntries(spec))].map((one) => {
    if (one.name !== 'sample-1.0.dist-info/RECORD') return one
    return { ...one, content: String(one.content).replace(/^(a\.py,sha256=[^,]+)/m, '$1=') }
  })
  const contents = await installed(spec, writeZip(specs, { comment: Buffer.from('made by hand') }))
  assert.deepEqual([...contents.keys()], [...plain.keys()])
  assert.equal(contents.get(`${site}/b.txt`), plain.get(`${site}/b.txt`))
})

test('names in code page 437 and in UTF-8 are those that Python sees', async () => {
  const specs = [...wheelEntries(spec), { name: 'für.py' }]
  const oldName = Buffer.concat([Buffer.from('caf'), Buffer.from([0x82]), Buffer.from('.py')])
  const record = withRecord(spec, [...specs, { name: 'café.py' }]).at(-1) as ZipSpec
  const contents = await installed(spec, writeZip([...specs, { name: oldName }, record]))
  const names = [...contents.keys()].filter((path) => path.endsWith('.py') && !path.endsWith('/a.py'))
  assert.deepEqual(names, [`${site}/café.py`, `${site}/für.py`])
})

const part = fc.stringMatching(/^[a-z][\w, "äß-]{0,30}$/)
const path = fc
  .array(part, { minLength: 1, maxLength: 4 })
  .map((parts) => parts.map((one) => one.trim().concat('_')).join('/'))
const content = fc.oneof(
  fc.uint8Array({ maxLength: 3000 }).map((bytes) => Buffer.from(bytes)),
  fc.nat(400_000).map((length) => Buffer.alloc(length, 'compresses well ')),
  fc.constantFrom('#!python\n', '#!python', '#!pythonw -x\r\nrest', '').map((text) => Buffer.from(text)),
)
const file = fc.record({ content, mode: fc.constantFrom(0o644, 0o755, 0o600, 0o711) })
const files = fc.dictionary(path, file, { maxKeys: 5, noNullPrototype: true })
const generated = fc.record({ files, scripts: files, stored: fc.boolean(), python: fc.constantFrom('3.9', '3.13') })

test('any wheel: Python reads what was put in, and the same wheel gives the same bytes', async () => {
  await fc.assert(
    fc.asyncProperty(generated, async ({ stored, python, ...parts }) => {
      const spec: WheelSpec = { name: 'sample', version: '1.0', ...parts }
      const wheel = writeZip(withRecord(spec, wheelEntries(spec)).map((one) => ({ ...one, stored })))
      // A file may be where another wants a folder: refused, and tested elsewhere.
      const paths = [...Object.keys(parts.files), ...Object.keys(parts.scripts).map((name) => `bin:${name}`)]
      fc.pre(!paths.some((one) => paths.some((other) => other.startsWith(`${one}/`))))

      const { members, entries, tarSize, diffId } = await transcode(wheel, wheelFilename(spec), python)
      assert.ok(members.equals((await transcode(wheel, wheelFilename(spec), python)).members))
      const seen = seenByPython(members)
      const expected = new Map<string, [number, string]>()
      for (const [path, { content, mode }] of Object.entries(parts.files)) {
        const installedMode = mode & 0o111 ? 0o755 : 0o644
        expected.set(`opt/env/lib/python${python}/site-packages/${path}`, [installedMode, sha256(content)])
      }
      for (const [path, { content }] of Object.entries(parts.scripts)) {
        const text = content.toString('latin1')
        const rewritten = text.replace(/^#!python[^\n]*(\n|$)/, '#!/opt/env/bin/python\n')
        expected.set(`opt/env/bin/${path}`, [0o755, sha256(Buffer.from(rewritten, 'latin1'))])
      }
      for (const [path, [mode, digest]] of expected) {
        assert.deepEqual([seen.get(path)?.mode, seen.get(path)?.sha256], [mode, digest], path)
      }
      // METADATA, WHEEL, RECORD, INSTALLER, and nothing else; all folders, before what is in them.
      const files = [...seen].filter(([, { type }]) => type === 'file')
      assert.equal(files.length, expected.size + 4)
      const folders = [...seen].filter(([, { type }]) => type === 'folder').map(([path]) => path)
      assert.deepEqual([...seen.keys()], [...folders, ...files.map(([path]) => path)])
      assert.deepEqual(
        folders,
        parentFolders(files.map(([path]) => path)).map(({ path }) => path),
      )
      for (const { type, owner, mtime, mode } of seen.values()) {
        assert.deepEqual([owner, mtime], ['0:0::', 946684800])
        if (type === 'folder') assert.equal(mode, 0o755)
      }
      // The manifest is true: each entry is a whole archive by itself, and they are sorted and without gaps.
      assert.deepEqual(
        entries.map(({ path, mode, size, sha256 }) => ({ path, mode, size, sha256 })),
        files.map(([path, { mode, size, sha256 }]) => ({ path, mode, size, sha256 })),
      )
      assert.deepEqual(
        entries.map((one) => one.path),
        entries.map((one) => one.path).sort(),
      )
      assert.deepEqual(
        entries.map((one) => one.start),
        [entries[0]?.start, ...entries.slice(0, -1).map((one) => one.end)],
      )
      assert.ok(members.subarray(entries.at(-1)?.end).equals(END_MEMBER))
      const tar = execFileSync('gzip', ['-dc'], { input: members, maxBuffer: 2 ** 28 })
      assert.deepEqual([tarSize, diffId], [tar.length, `sha256:${sha256(tar)}`])
    }),
    { numRuns: 25 },
  )
})
