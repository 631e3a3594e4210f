import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import fc from 'fast-check'
import { readTar } from '../../common/read-tar.ts'
import { TAR_END, type TarEntry, tarArchive, tarChecksum, tarHeader, tarPadding } from '../../common/tar.ts'
import { TarRefused } from '../../common/tar-fields.ts'

type Item = Omit<TarEntry, 'size'> & { content?: Buffer }

const part = fc
  .oneof(
    fc.stringMatching(/^[\w .+-]{1,20}$/),
    fc.stringMatching(/^[a-z]{60,130}$/),
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }),
  )
  .filter((text) => !/[/\0]/.test(text) && text !== '.' && text !== '..' && text.isWellFormed())
const path = fc.array(part, { minLength: 1, maxLength: 6 }).map((parts) => parts.join('/'))
const content = fc.uint8Array({ maxLength: 1500 }).map((bytes) => Buffer.from(bytes))
const common = { path, mode: fc.nat(0o7777), mtime: fc.nat(4e9) }
const item: fc.Arbitrary<Item> = fc.oneof(
  record({ ...common, type: fc.constant('file'), content }),
  record({ ...common, type: fc.constant('directory') }),
  record({ ...common, type: fc.constant('symlink'), link: path }),
)

function record(model: { [K in keyof Item]: fc.Arbitrary<Item[K]> }): fc.Arbitrary<Item> {
  return fc.record(model, { noNullPrototype: true }) as fc.Arbitrary<Item>
}

/** In pieces of a given size, as a socket might give it. */
async function* pieces(bytes: Buffer, size = 700): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

async function readAll(bytes: Buffer, size?: number): Promise<Item[]> {
  const items: Item[] = []
  for await (const { entry, content } of readTar(pieces(bytes, size))) {
    const chunks: Buffer[] = []
    for await (const chunk of content) chunks.push(Buffer.from(chunk))
    const { size: _, ...rest } = entry
    items.push(entry.type === 'file' ? { ...rest, content: Buffer.concat(chunks) } : rest)
  }
  return items
}

test('what is written is read again', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(item, { maxLength: 8 }), fc.integer({ min: 1, max: 2000 }), async (items, size) => {
      assert.deepEqual(await readAll(tarArchive(items), size), items)
    }),
    { numRuns: 60 },
  )
})

test("Python's tarfile reads the same", () => {
  const items = fc.sample(item, { numRuns: 300, seed: 5 })
  const script = `
import json, sys, tarfile
out = []
tar = tarfile.open(fileobj=sys.stdin.buffer, mode='r|')
for m in tar:
    assert (m.uid, m.gid, m.uname, m.gname) == (0, 0, '', '')
    kind = 'file' if m.isfile() else 'directory' if m.isdir() else 'symlink' if m.issym() else '?'
    row = {'path': m.name, 'type': kind, 'mode': m.mode, 'mtime': m.mtime}
    if kind == 'symlink': row['link'] = m.linkname
    if kind == 'file': row['content'] = tar.extractfile(m).read().hex()
    out.append(row)
print(json.dumps(out))`
  const seen = JSON.parse(
    execFileSync('python3', ['-c', script], { input: tarArchive(items), maxBuffer: 1e8, encoding: 'utf8' }),
  )
  assert.deepEqual(
    seen,
    items.map(({ content, ...rest }) => (content ? { ...rest, content: content.toString('hex') } : rest)),
  )
})

test("what Python's tarfile writes is read", async () => {
  const script = `
import io, sys, tarfile
with tarfile.open(fileobj=sys.stdout.buffer, mode='w|', format=tarfile.PAX_FORMAT) as tar:
    for name, kind, data in [('./', tarfile.DIRTYPE, b''), ('./ä/' + 'x' * 200, tarfile.REGTYPE, b'some bytes'),
                             ('./link', tarfile.SYMTYPE, b'')]:
        info = tarfile.TarInfo(name)
        info.type, info.size, info.mtime, info.linkname = kind, len(data), 1.5, 'x' if kind == tarfile.SYMTYPE else ''
        tar.addfile(info, io.BytesIO(data))`
  const items = await readAll(execFileSync('python3', ['-c', script]))
  assert.deepEqual(items, [
    { path: `ä/${'x'.repeat(200)}`, type: 'file', mode: 0o644, mtime: 1, content: Buffer.from('some bytes') },
    { path: 'link', type: 'symlink', mode: 0o644, mtime: 1, link: 'x' },
  ])
})

test('a size beyond the octal field goes into a pax header', () => {
  const header = tarHeader({ path: 'big', type: 'file', mode: 0o644, size: 9e9, mtime: 0 })
  assert.match(header.toString('latin1'), /19 size=9000000000\n/)
  assert.equal(header.length, 3 * 512)
})

test('attributes in a pax header, which may be binary, are passed over', async () => {
  const record = Buffer.from('20 SCHILY.xattr.a=\xff\n', 'latin1')
  assert.deepEqual(await readAll(pax(record)), [
    { path: 'name', type: 'file', mode: 0o644, mtime: 0, content: Buffer.alloc(0) },
  ])
})

test('what an entry leaves unread is skipped', async () => {
  const file = (path: string) => ({ path, type: 'file', mode: 0, mtime: 0, content: Buffer.alloc(5000, path) }) as const
  const seen: string[] = []
  for await (const { entry, content } of readTar(pieces(tarArchive([file('a'), file('b'), file('c')])))) {
    seen.push(entry.path)
    if (entry.path === 'b') for await (const _ of content) break
  }
  assert.deepEqual(seen, ['a', 'b', 'c'])
})

test('the source is closed when the reader stops early', async () => {
  let closed = false
  async function* source() {
    try {
      yield tarArchive([{ path: 'a', type: 'directory', mode: 0, mtime: 0 }])
      yield Buffer.alloc(512)
    } finally {
      closed = true
    }
  }
  for await (const _ of readTar(source())) break
  assert.ok(closed)
})

/** A header with some bytes changed and the checksum made right again. */
function patched(change: (header: Buffer) => void, entry: Partial<TarEntry> = {}): Buffer {
  const header = tarHeader({ path: 'name', type: 'file', mode: 0o644, size: 0, mtime: 0, ...entry })
  change(header)
  header.write(`${tarChecksum(header).toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return Buffer.concat([header, TAR_END])
}

function pax(records: string | Buffer): Buffer {
  const body = Buffer.from(records as string)
  const header = patched((h) => h.write('x', 156), { size: body.length }).subarray(0, 512)
  return Buffer.concat([header, body, tarPadding(body.length), patched(() => {})])
}

const whole = tarArchive([{ path: 'a', type: 'file', mode: 0, mtime: 0, content: Buffer.from('content') }])
const bad: [string, Buffer, RegExp][] = [
  ['nothing at all', Buffer.alloc(0), /cut off/],
  ['a wrong checksum', Buffer.concat([Buffer.from('b'), whole.subarray(1)]), /checksum/],
  ['a negative size', patched((h) => h.write('-0000000001', 124)), /size is no octal/],
  ['a base-256 size', patched((h) => h.writeUInt8(0x80, 124)), /size is no octal/],
  ['a size beyond the file', patched((h) => h.write('77777777777', 124)), /"name" is cut off/],
  ['an end cut to half', whole.subarray(0, -512), /cut off/],
  ['no end', whole.subarray(0, -1024), /cut off/],
  ['half an end and more', Buffer.concat([whole.subarray(0, -512), whole]), /half an end/],
  ['bytes after the end', Buffer.concat([whole, Buffer.from('x')]), /after its end/],
  ['padding that is no padding', Buffer.concat([whole.subarray(0, 1023), Buffer.from('x'), TAR_END]), /padded/],
  ['a hard link', patched((h) => h.write('1', 156)), /"name" is a hard link/],
  ['a character device', patched((h) => h.write('3', 156)), /character device/],
  ['a block device', patched((h) => h.write('4', 156)), /block device/],
  ['a fifo', patched((h) => h.write('6', 156)), /fifo/],
  ['a GNU long name', patched((h) => h.write('L', 156)), /GNU long name/],
  ['a global header', patched((h) => h.write('g', 156)), /global pax header/],
  ['an unknown type', patched((h) => h.write('Z', 156)), /unknown type "Z"/],
  ['GNU magic', patched((h) => h.write('ustar  \0', 257)), /not ustar/],
  ['an absolute path', patched((h) => h.write('/etc/x\0', 0)), /not a relative path/],
  ['a path that climbs', patched((h) => h.write('a/../../x\0', 0)), /leads out/],
  ['a name that is not UTF-8', patched((h) => h.writeUInt8(0xff, 0)), /UTF-8/],
  ['a folder with content', patched((h) => h.write('5', 156), { size: 1 }), /has content but is no file/],
  ['a link to nothing', patched((h) => h.write('2', 156)), /link to nothing/],
  ['a pax bomb', patched((h) => h.write('x', 156), { size: 2 ** 30 }), /pax header of 1073741824 bytes/],
  ['a pax header twice', Buffer.concat([pax('').subarray(0, 512), pax('')]), /unknown type "x"/],
  ['a pax header without an entry', Buffer.concat([pax('').subarray(0, 512), TAR_END]), /not ustar/],
  ['a pax record that lies about its length', pax('99 path=x\n'), /not well formed/],
  ['a pax record of length 0', pax('0 path=x\n'), /not well formed/],
  ['a pax key twice', pax('9 path=x\n9 path=y\n'), /not well formed/],
  ['a pax size that overflows', pax('28 size=9999999999999999999\n'), /size that is no number/],
  ['a pax size below zero', pax('11 size=-1\n'), /size that is no number/],
  ['a pax path that climbs', pax('15 path=../x/y\n'), /leads out/],
  ['a pax path with a zero byte', pax('11 path=a\0\n'), /zero byte/],
  [
    'a pax path that is not UTF-8',
    Buffer.from(pax('9 path=a\n').toString('latin1').replace('=a', '=\xff'), 'latin1'),
    /UTF-8/,
  ],
  ['a sparse file', pax('22 GNU.sparse.major=1\n'), /GNU\.sparse/],
]
for (const [what, bytes, reason] of bad) {
  test(`refused: ${what}`, async () => {
    await assert.rejects(readAll(bytes), (error) => error instanceof TarRefused && reason.test(error.message))
  })
}

test('any damage ends in TarRefused or a well-formed result, never in another error', async () => {
  const archive = tarArchive(fc.sample(item, { numRuns: 6, seed: 9 }))
  await fc.assert(
    fc.asyncProperty(fc.nat(archive.length - 1), fc.nat(255), fc.boolean(), async (at, value, cut) => {
      const copy = Buffer.from(archive)
      copy[at] = value
      await readAll(cut ? copy.subarray(0, at) : copy).catch((error) => assert.ok(error instanceof TarRefused, error))
    }),
    { numRuns: 300 },
  )
})

for (const entry of [
  { path: '' },
  { path: '/etc' },
  { path: 'a\0b' },
  { path: 'a/' },
  { size: -1 },
  { size: 1.5 },
  { mode: 0o10000 },
  { mtime: -1 },
  { link: 'x' },
  { type: 'symlink' as const },
  { path: '\ud800' },
]) {
  test(`can't be written: ${JSON.stringify(entry)}`, () => {
    const good: TarEntry = { path: 'a', type: 'file', mode: 0o644, size: 0, mtime: 0 }
    assert.throws(() => tarHeader({ ...good, ...entry }), RangeError)
  })
}
