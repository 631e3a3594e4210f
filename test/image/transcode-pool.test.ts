import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { promisify } from 'node:util'
import { constants, crc32, deflateRawSync } from 'node:zlib'
import type { Blobs } from '../../service/blobs/blobs.ts'
import { openFileBlobs } from '../../service/blobs/files.ts'
import { LAST_BLOCK } from '../../service/image/gzip.ts'
import { transcodePool } from '../../service/image/transcode-pool.ts'
import { WheelRefused } from '../../service/image/wheel-refused.ts'
import { MemoryBlobs } from '../support/memory-blobs.ts'
import { sha256, transcode } from '../support/transcode.ts'
import { makeWheel, type WheelSpec, wheelEntries, wheelFilename, withRecord } from '../support/wheels.ts'
import { writeZip } from '../support/zip-writer.ts'

const folder = await mkdtemp(join(tmpdir(), 'transcode-'))
after(() => rm(folder, { recursive: true }))

/** Writes a wheel that is large enough for several pieces. */
async function wheelFile(spec: WheelSpec, bytes = makeWheel(spec)): Promise<{ file: string; filename: string }> {
  const filename = wheelFilename(spec)
  const file = join(folder, filename)
  await writeFile(file, bytes)
  return { file, filename }
}

function sample(name: string): WheelSpec {
  const content = randomBytes(200_000)
  return {
    name,
    version: '1.0',
    files: Object.fromEntries([...'abcdefghijklmnopqrst'].map((one) => [`${name}/${one}.bin`, content])),
  }
}

test('many wheels in few threads give what one thread gives', async (t) => {
  const specs = ['one', 'two', 'three'].map(sample)
  const pool = transcodePool(2)
  t.after(() => pool.close())
  const blobs = new MemoryBlobs()
  const results = await Promise.all(
    specs.map(async (spec) => pool.transcode({ ...(await wheelFile(spec)), python: '3.11', blobs })),
  )
  for (const [index, spec] of specs.entries()) {
    const { members, entries, tarSize, diffId, name } = await transcode(makeWheel(spec), wheelFilename(spec))
    const fragment = { digest: `sha256:${sha256(members)}`, size: members.length, entries, tarSize, diffId }
    assert.deepEqual(results[index], { name, version: '1.0', fragment })
    assert.ok(blobs.stored.get(`sha256:${sha256(members)}`)?.equals(members))
  }
})

test('after a refusal the thread goes on, and nothing of the wheel is stored', async (t) => {
  const spec = sample('bad')
  // The last of the files is wrong, so most of the fragment has been given away by then.
  const specs = withRecord(spec, wheelEntries(spec)).map((one) =>
    one.name === 'bad/t.bin' ? { ...one, central: { crc: 1 }, local: { crc: 1 } } : one,
  )
  const blobs = new MemoryBlobs()
  const pool = transcodePool(1)
  t.after(() => pool.close())
  const bad = { ...(await wheelFile(spec, writeZip(specs))), python: '3.11', blobs }
  await assert.rejects(pool.transcode(bad), (error) => {
    assert.ok(error instanceof WheelRefused)
    assert.deepEqual([error.wheel, error.entry], ['bad-1.0-py3-none-any.whl', 'bad/t.bin'])
    return /checksum/.test(error.message)
  })
  assert.equal(blobs.stored.size, 0)
  await pool.transcode({ ...(await wheelFile(sample('good'))), python: '3.11', blobs })
  await assert.rejects(pool.transcode({ ...bad, file: join(folder, 'missing') }), /ENOENT: no such file/)
  await pool.close()
  await assert.rejects(pool.transcode(bad), /closed/)
})

test('what fails, is cancelled or is closed half way ends, and the pool goes on', async (t) => {
  const good = { ...(await wheelFile(sample('good'))), python: '3.11' }
  const memory = new MemoryBlobs()
  const failing = storing(async (source) => {
    for await (const _ of source) throw new Error('no room')
  })
  const pool = transcodePool(1)
  t.after(() => pool.close())
  await assert.rejects(pool.transcode({ ...good, blobs: failing }), /no room/)

  const abort = new AbortController()
  const slow = storing(async (source) => {
    let pieces = 0
    for await (const _ of source) if (++pieces === 2) abort.abort()
  })
  await assert.rejects(pool.transcode({ ...good, blobs: slow, signal: abort.signal }), { name: 'AbortError' })
  await pool.transcode({ ...good, blobs: memory })

  const closing = storing(async (source) => {
    let pieces = 0
    for await (const _ of source) if (++pieces === 2) await pool.close()
  })
  const waiting = pool.transcode({ ...good, blobs: closing })
  await Promise.all([
    assert.rejects(waiting, /the thread that read it ended/),
    assert.rejects(pool.transcode({ ...good, blobs: memory }), /closed/),
  ])
})

/** Blobs that do something else with what they are to store. */
function storing(put: (source: AsyncIterable<Uint8Array>) => Promise<void>): Blobs {
  const blobs: Blobs = new MemoryBlobs()
  blobs.put = async (source) => {
    await put(source as AsyncIterable<Uint8Array>)
    return { digest: 'sha256:', size: 0 }
  }
  return blobs
}

/** Deflated by as many copies of one piece as are needed, which takes no time. */
function repeated(piece: Buffer, times: number) {
  const part = deflateRawSync(piece, { level: 1, finishFlush: constants.Z_FULL_FLUSH })
  const raw = Buffer.concat([...Array<Buffer>(times).fill(part), LAST_BLOCK])
  const content = Buffer.concat(Array<Buffer>(times).fill(piece))
  return { content, raw, sums: { crc: crc32(content), size: content.length, compressedSize: raw.length } }
}

test('memory stays flat, however large a wheel and its files are', async () => {
  const piece = randomBytes(1_000_000)
  const peak = async (megabytes: number): Promise<number> => {
    const { content, raw, sums } = repeated(piece, megabytes)
    const spec: WheelSpec = { name: `size${megabytes}`, version: '1.0' }
    const specs = withRecord(spec, [
      ...wheelEntries(spec),
      { name: 'deflated.bin', content },
      { name: 'stored.bin', content, stored: true },
      { name: `size${megabytes}-1.0.data/scripts/tool`, content },
    ])
    const quick = specs.map((one) =>
      one.content === content && !one.stored ? { ...one, raw, local: sums, central: sums } : one,
    )
    const source = { ...(await wheelFile(spec, writeZip(quick))), python: '3.11' }
    const blobs = join(folder, `blobs-${megabytes}`)
    const child = join(folder, `child-${megabytes}.mjs`)
    await writeFile(
      child,
      `
      import { readFileSync } from 'node:fs'
      import { openFileBlobs } from ${JSON.stringify(import.meta.resolve('../../service/blobs/files.ts'))}
      import { transcodePool } from ${JSON.stringify(import.meta.resolve('../../service/image/transcode-pool.ts'))}
      const pool = transcodePool(1)
      const blobs = await openFileBlobs(${JSON.stringify(blobs)})
      const { fragment } = await pool.transcode({ ...${JSON.stringify(source)}, blobs })
      await pool.close()
      // Not maxRSS of getrusage, which begins at the parent's.
      const [, kilobytes] = /VmHWM:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))
      console.log(JSON.stringify([fragment.digest, kilobytes / 1024]))`,
    )
    const { stdout } = await promisify(execFile)(process.execPath, [child], {
      timeout: 120_000,
    })
    const [digest, megabytesUsed] = JSON.parse(stdout)
    assert.ok(((await (await openFileBlobs(blobs)).size(digest)) ?? 0) > 2 * raw.length)
    return megabytesUsed
  }
  const [small, large] = [await peak(2), await peak(100)]
  // Three files of 100 MB; what differs is the collector's leisure, measured as 60 to 90 MB.
  assert.ok(large - small < 150, `${small} MB for a small wheel, ${large} MB for a large one`)
})
