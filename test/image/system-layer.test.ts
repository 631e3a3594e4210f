import assert from 'node:assert/strict'
import { buffer } from 'node:stream/consumers'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { readTar } from '../../common/read-tar.ts'
import { tarArchive } from '../../common/tar.ts'
import { TarRefused } from '../../common/tar-fields.ts'
import { changesOf, writeSystemLayer } from '../../service/image/system-layer.ts'
import { MemoryBlobs } from '../support/memory-blobs.ts'

/** As `find -printf '%y %m %U %G %s %C@ %p\0'` prints it. */
function listing(...rows: string[]): Buffer {
  return Buffer.from(rows.map((row) => `${row}\0`).join(''))
}

const BEFORE = listing(
  ...['d 755 0 0 4096 1.0 /', 'd 755 0 0 4096 1.0 /etc', 'f 644 0 0 1 1.0 /etc/kept', 'f 644 0 0 1 1.0 /etc/gone'],
  ...['d 755 0 0 4096 1.0 /old', 'd 755 0 0 4096 1.0 /old/deep', 'f 644 0 0 1 1.0 /old/deep/file'],
  ...['d 755 0 0 4096 1.0 /turned', 'f 644 0 0 1 1.0 /turned/file', 'd 1777 0 0 4096 1.0 /tmp'],
)
const AFTER = listing(
  ...['d 755 0 0 4096 2.0 /', 'd 755 0 0 4096 2.0 /etc', 'f 644 0 0 1 1.0 /etc/kept', 'f 4755 7 8 3 2.0 /etc/new'],
  ...['l 777 0 0 6 2.0 /turned', 'd 1777 0 0 4096 2.0 /tmp', 'f 644 0 0 1 2.0 /tmp/rest', 'd 750 5 5 1 2.0 /var'],
  ...['d 755 0 0 1 2.0 /var/log', 'f 644 0 0 9 2.0 /var/log/dpkg.log', 'f 644 0 0 9 2.0 /etc/passwd-'],
)

test('what an installation changed: new, gone, and folders that became links', () => {
  const { folders, files, gone } = changesOf(BEFORE, AFTER)
  assert.deepEqual([...folders.keys()], ['etc', 'var', 'var/log'])
  assert.deepEqual([...files.keys()], ['etc/new', 'turned'])
  assert.deepEqual(gone, ['etc/gone', 'old', 'turned'])
})

test('a layer keeps owners and modes, and the times of packages alone', async () => {
  const blobs = new MemoryBlobs()
  const began = 1_700_000_000
  const file = { path: 'etc/new', type: 'file' as const, mode: 0o644, mtime: began - 5, content: Buffer.from('abc') }
  const link = { path: 'turned', type: 'symlink' as const, mode: 0o777, mtime: began + 5, link: 'etc/new' }
  const write = async (...entries: Parameters<typeof tarArchive>[0] extends Iterable<infer E> ? E[] : never) =>
    await writeSystemLayer(changesOf(BEFORE, AFTER), bytes(tarArchive(entries)), began, blobs)
  const layer = await write(file, link)
  const tar = gunzipSync(await buffer(await blobs.open(layer.digest)))
  assert.equal(tar.length, layer.tarSize)
  const rows: unknown[] = []
  for await (const { entry } of readTar(bytes(tar))) rows.push([entry.path, entry.mode, entry.mtime])
  const fixed = 946_684_800
  assert.deepEqual(rows, [
    ...[
      ['etc', 0o755, fixed],
      ['var', 0o750, fixed],
      ['var/log', 0o755, fixed],
    ],
    ...[
      ['etc/.wh.gone', 0o644, fixed],
      ['.wh.old', 0o644, fixed],
      ['.wh.turned', 0o644, fixed],
    ],
    ...[
      ['etc/new', 0o4755, began - 5],
      ['turned', 0o777, fixed],
    ],
  ])
  assert.equal(
    tar.toString('latin1', tar.indexOf('etc/new') + 108, tar.indexOf('etc/new') + 124),
    '0000007\u00000000010\0',
  )
  await assert.rejects(write(file), TarRefused)
  await assert.rejects(write(file, link, { ...file, path: 'etc/shadow' }), TarRefused)
})

async function* bytes(whole: Buffer): AsyncGenerator<Buffer> {
  yield whole
}
