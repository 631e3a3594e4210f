import assert from 'node:assert/strict'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { BundleRefused } from '../../common/bundle-refused.ts'
import { digestOf, IndexRefused, indexOf } from '../../common/piece-index.ts'
import { readTar } from '../../common/read-tar.ts'
import { TAR_END, type TarEntry, tarHeader, tarPadding } from '../../common/tar.ts'
import { TarRefused } from '../../common/tar-fields.ts'
import type { Digest } from '../../service/blobs/blobs.ts'
import { openFileBlobs } from '../../service/blobs/files.ts'
import { grant } from '../../service/database/code.ts'
import { openSqlite } from '../../service/database/sqlite.ts'
import { MirrorIncomplete, Mirrors } from '../../service/source/mirror.ts'
import { temporaryFolder } from '../support/repositories.ts'

const DOMAIN = 'rep_1'

async function setUp(t: TestContext, limits = { bytes: 1_000_000, files: 100 }) {
  const folder = await temporaryFolder(t)
  const database = openSqlite(join(folder, 'state'))
  t.after(() => database.close())
  const blobs = await openFileBlobs(join(folder, 'blobs'))
  const mirrors = new Mirrors({ database, blobs, limits })
  const send = async (bytes: Uint8Array, domain = DOMAIN) => {
    const { digest } = await blobs.put(bytes)
    await database.write(({ db }) => grant(db, { domain, digests: [digest], now: 1 }))
    return digest
  }
  /** Stores pieces, and what leads to them, as a client would. */
  const root = async (...pieces: Uint8Array[]) => {
    const digests: Digest[] = []
    for (const piece of pieces) digests.push(await send(piece))
    const { index, lists } = indexOf(digests)
    for (const { bytes } of [index, ...lists]) await send(bytes)
    return index.digest as Digest
  }
  const bundle = async (of: Digest, domain = DOMAIN) => {
    const { digest } = await mirrors.bundle(domain, of, new AbortController().signal)
    return { digest, bytes: await buffer(await blobs.open(digest)) }
  }
  return { blobs, mirrors, send, root, bundle, database }
}

function entry(path: string, content = '', more: Partial<TarEntry> = {}): Buffer {
  const size = Buffer.byteLength(content)
  const header = tarHeader({ path, type: 'file', mode: 0o644, size, mtime: 5, ...more })
  return Buffer.concat([header, Buffer.from(content), tarPadding(size)])
}
const link = (path: string, to: string) => entry(path, '', { type: 'symlink', link: to, mode: 0o777 })

/** A header whose bytes are changed, with a checksum that fits. */
function forged(header: Buffer, change: (header: Buffer) => void): Buffer {
  const own = Buffer.from(header)
  change(own)
  own.fill(' ', 148, 156)
  const sum = own.subarray(0, 512).reduce((total, byte) => total + byte, 0)
  own.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return own
}
const named = (path: string) => forged(entry('x'.repeat(path.length), '1'), (header) => header.write(path, 0, 'latin1'))

test('a bundle depends on the files alone: not on how they were cut, nor on owners, times and modes', async (t) => {
  const { root, bundle } = await setUp(t)
  const [a, b] = [entry('a', '1'), entry('b/c', '2')]
  const first = await bundle(await root(a, b))
  const second = await bundle(await root(Buffer.concat([a, b]).subarray(0, 700), Buffer.concat([a, b]).subarray(700)))
  const third = await bundle(await root(entry('a', '1', { mode: 0o4600, mtime: 7 }), entry('b/c', '2')))
  assert.deepEqual([second.digest, third.digest], [first.digest, first.digest])
  const paths: string[] = []
  for await (const { entry } of readTar(
    (async function* () {
      yield first.bytes
    })(),
  ))
    paths.push(`${entry.type} ${entry.path} ${entry.mode.toString(8)}`)
  assert.deepEqual(paths, ['file a 644', 'directory b 755', 'file b/c 644'])
})

test('hostile pieces are refused, and leave no bundle', async (t) => {
  const { root, bundle, database } = await setUp(t)
  const long = 'x'.repeat(300)
  const bad: [string, Buffer[], RegExp][] = [
    ['a path that climbs', [named('../evil')], /leads out of the archive/],
    ['a path that climbs inside', [named('a/../../evil')], /leads out of the archive/],
    ['an absolute path', [named('/etc/passwd')], /not a relative path/],
    ["git's own folder", [named('.git/hooks/x')], /git's own folder/],
    ['an overlong name', [entry(long, '1')], /more than 255 bytes/],
    ['one path twice', [entry('a', '1'), entry('a', '2')], /twice or out of order/],
    ['out of order', [entry('b', '1'), entry('a', '2')], /twice or out of order/],
    ['a file that is a folder too', [entry('a', '1'), entry('a/b', '2')], /both a file and a folder/],
    ['a link that leads out', [link('a', '../../etc')], /leads outside/],
    ['an absolute link', [link('a', '/etc/passwd')], /leads outside/],
    ['links that lead out together', [link('a/x', '..'), link('b', 'a/x/../up')], /leads outside/],
    ['a file below a link', [link('a', 'b'), entry('a/x', '1')], /both a file and a folder/],
    ['a hard link', [forged(link('a', 'b'), (header) => header.write('1', 156))], /hard link/],
    ['a device', [forged(entry('a'), (header) => header.write('3', 156))], /character device/],
    [
      'a size that lies beyond the end',
      [forged(entry('a', '1'), (header) => header.write('00000077777', 124))],
      /cut off/,
    ],
    [
      'a size that lies below',
      [forged(entry('a', 'x'.repeat(600)), (header) => header.write('00000000010', 124))],
      /padded|ustar/,
    ],
    ['a tar end between', [entry('a', '1'), TAR_END, entry('b', '2')], /after its end/],
    ['too many files', Array.from({ length: 101 }, (_, n) => entry(`f${1000 + n}`, '')), /more than .* 100 files/],
    ['too many bytes', [entry('a', 'x'.repeat(1_000_001))], /more than 1000000 bytes/],
    ['rubbish', [Buffer.alloc(2000, 'rubbish')], /not ustar|checksum/],
  ]
  for (const [what, pieces, message] of bad) {
    await t.test(what, async () => {
      await assert.rejects(bundle(await root(...pieces)), (error: Error) => {
        assert.ok(error instanceof TarRefused || error instanceof BundleRefused, `${error}`)
        assert.match(error.message, message)
        return true
      })
    })
  }
  assert.deepEqual(await database.state.selectFrom('bundles').selectAll().execute(), [])
})

test('whatever is changed in a piece, a bundle has no path or link that leads out of it', async (t) => {
  const { root, bundle } = await setUp(t)
  const good = Buffer.concat([entry('a/b', 'content'), link('a/c', 'b'), entry('d', 'x'.repeat(600), { mode: 0o755 })])
  const change = fc.record({ at: fc.nat(good.length - 1), value: fc.integer({ min: 0, max: 255 }), sum: fc.boolean() })
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
      let bytes = Buffer.from(good)
      for (const { at, value, sum } of changes) {
        bytes[at] = value
        const start = at < 512 ? 0 : at < 1536 ? 1024 : 1536
        if (sum && at - start < 512)
          bytes = Buffer.concat([bytes.subarray(0, start), forged(bytes.subarray(start), () => {})])
      }
      let made: Awaited<ReturnType<typeof bundle>>
      try {
        made = await bundle(await root(bytes))
      } catch (error) {
        assert.ok(error instanceof TarRefused || error instanceof BundleRefused, `${error}`)
        return
      }
      const again = await bundle(await root(bytes))
      assert.equal(again.digest, made.digest)
      for await (const { entry } of readTar(
        (async function* () {
          yield made.bytes
        })(),
      )) {
        assert.ok(!entry.path.startsWith('/') && !entry.path.split('/').includes('..'), entry.path)
        assert.ok([0o644, 0o755, 0o777].includes(entry.mode))
        if (entry.link !== undefined) assert.ok(!entry.link.startsWith('/'), entry.link)
      }
    }),
    { numRuns: 150 },
  )
})

test("pieces of another domain can't be had by their digests", async (t) => {
  const { mirrors, send, root, bundle } = await setUp(t)
  const secret = await send(entry('secret', 's'), 'rep_2')
  const { index, lists } = indexOf([secret])
  for (const { bytes } of [index, ...lists]) await send(bytes)
  assert.deepEqual(await mirrors.missing(DOMAIN, index.digest as Digest), [secret])
  await assert.rejects(bundle(index.digest as Digest), MirrorIncomplete)
  const own = await root(entry('a', '1'))
  assert.deepEqual(await mirrors.missing('rep_2', own), [own], 'nor an index of another')
  await assert.rejects(bundle(own, 'rep_2'), MirrorIncomplete)
})

test('what is missing is said step by step, and nothing once there is a bundle', async (t) => {
  const { mirrors, send, bundle } = await setUp(t)
  const piece = entry('a', '1')
  const { index, lists } = indexOf([digestOf(piece)])
  const root = index.digest as Digest
  assert.deepEqual(await mirrors.missing(DOMAIN, root), [root])
  await send(index.bytes)
  assert.deepEqual(await mirrors.missing(DOMAIN, root), [lists[0]?.digest])
  await send(lists[0]?.bytes ?? Buffer.alloc(0))
  const wanted = await mirrors.missing(DOMAIN, root)
  assert.equal(wanted.length, 1)
  assert.equal(await send(piece), wanted[0])
  assert.deepEqual(await mirrors.missing(DOMAIN, root), [])
  await bundle(root)
  assert.deepEqual(await mirrors.missing(DOMAIN, root), [])
})

test('an index that is none is refused by name; an empty root is an empty bundle', async (t) => {
  const { mirrors, send, bundle } = await setUp(t)
  const bad = await send(Buffer.from('nothing of the kind'))
  await assert.rejects(mirrors.missing(DOMAIN, bad), IndexRefused)
  await assert.rejects(bundle(bad), IndexRefused)
  const { index } = indexOf([])
  await send(index.bytes)
  assert.ok((await bundle(index.digest as Digest)).bytes.equals(TAR_END))
})

test('one list that is named over and over is refused before it is read over and over', async (t) => {
  const { blobs, mirrors, send, bundle } = await setUp(t)
  const times = (digest: string, n: number) => Buffer.from(`${digest.slice('sha256:'.length)}\n`.repeat(n))
  const list = await send(times(await send(entry('a', '1')), 50_000))
  const index = await send(times(list, 50_000))
  const opened = t.mock.method(blobs, 'open').mock
  await assert.rejects(bundle(index), (error) => {
    assert.ok(error instanceof IndexRefused)
    assert.equal(error.message, 'mirror.roots: more than 500000 pieces are named')
    return true
  })
  assert.equal(opened.callCount(), 2, 'the index and the list')
  assert.deepEqual(await mirrors.missing(DOMAIN, index), [], 'who only asks reads what differs')
})

test('pieces may repeat: a large file of zeros is the same piece many times', async (t) => {
  const { root, bundle } = await setUp(t)
  const zeros = Buffer.alloc(1024)
  const { bytes } = await bundle(
    await root(entry('zeros', '\0'.repeat(60 * 1024)).subarray(0, 512), ...Array(60).fill(zeros)),
  )
  assert.equal(bytes.length, 512 + 60 * 1024 + TAR_END.length)
})
