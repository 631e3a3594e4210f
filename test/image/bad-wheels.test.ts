import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { test } from 'node:test'
import { crc32, deflateRawSync, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { WheelRefused } from '../../service/image/wheel-refused.ts'
import { transcode } from '../support/transcode.ts'
import { type WheelSpec, wheelEntries, wheelFilename, withRecord } from '../support/wheels.ts'
import { writeZip, type ZipEnd, type ZipSpec } from '../support/zip-writer.ts'

const spec: WheelSpec = { name: 'sample', version: '1.0', files: { 'sample.py': 'x = 1\n' } }
const filename = wheelFilename(spec)
const info = 'sample-1.0.dist-info'
const data = 'sample-1.0.data'

interface Bad {
  entry?: string
  reason: RegExp
  bytes: Buffer
  filename?: string
}

/** A wheel with more entries than the sample's, all of them listed. */
function more(...extra: ZipSpec[]): Buffer {
  return writeZip(withRecord(spec, [...wheelEntries(spec), ...extra]))
}

/** A wheel whose sample.py is written otherwise than the rest believes. RECORD has no sizes: the zip must be enough. */
function lying(lies: Partial<ZipSpec>): Buffer {
  const specs = whole((one) => (one.name === 'sample.py' ? { ...one, ...lies } : one))
  return writeZip(specs.map((one) => (one.name === `${info}/RECORD` ? withoutSizes(one) : one)))
}

function withoutSizes(record: ZipSpec): ZipSpec {
  return { ...record, content: String(record.content).replace(/,\d+$/gm, ',') }
}

function ending(end: ZipEnd): Buffer {
  return writeZip(whole(), end)
}

function whole(change: (one: ZipSpec) => ZipSpec = (one) => one): ZipSpec[] {
  return withRecord(spec, wheelEntries(spec)).map(change)
}

/** A wheel with another text in one of its files, listed rightly. */
function saying(name: string, content: string): Buffer {
  const entries = wheelEntries(spec).filter((one) => one.name !== `${info}/${name}`)
  return writeZip(withRecord(spec, [...entries, { name: `${info}/${name}`, content }]))
}

function record(change: (text: string) => string): Buffer {
  const changed = (one: ZipSpec) =>
    one.name === `${info}/RECORD` ? { ...one, content: change(String(one.content)) } : one
  return writeZip(whole(changed))
}

function without(name: string): Buffer {
  return writeZip(
    withRecord(
      spec,
      wheelEntries(spec).filter((one) => one.name !== `${info}/${name}`),
    ),
  )
}

const content = Buffer.from('x = 1\n')
const packed = deflateRawSync(content)
const smuggled = gzipSync('a tar header of the attacker')
const zeros = deflateRawSync(Buffer.alloc(2 ** 20))
const unicodePath = Buffer.from([0x75, 0x70, 1, 0, 1])

const bad: Record<string, Bad> = {
  // Paths.
  'a path that climbs': { bytes: more({ name: '../x.py' }), entry: '../x.py', reason: /part "\.\."/ },
  'a path that climbs later': { bytes: more({ name: 'a/../../x' }), entry: 'a/../../x', reason: /part "\.\."/ },
  'an absolute path': { bytes: more({ name: '/etc/passwd' }), entry: '/etc/passwd', reason: /absolute/ },
  'a drive': { bytes: more({ name: 'C:/x' }), entry: 'C:/x', reason: /absolute/ },
  'a backslash': { bytes: more({ name: 'a\\..\\x' }), entry: 'a\\..\\x', reason: /backslash/ },
  'an empty part': { bytes: more({ name: 'a//x' }), entry: 'a//x', reason: /part ""/ },
  'a dot part': { bytes: more({ name: 'a/./x' }), entry: 'a/./x', reason: /part "\."/ },
  'a zero byte': { bytes: more({ name: 'a\0b' }), entry: 'a\0b', reason: /control character/ },
  'a line end': { bytes: more({ name: 'a\nb' }), entry: 'a\nb', reason: /control character/ },
  'no name': { bytes: more({ name: '' }), entry: '', reason: /without a name/ },
  'a part too long for disks': { bytes: more({ name: 'x'.repeat(256) }), reason: /more than 255 bytes/ },
  'a path too long for disks': { bytes: more({ name: `${'xx/'.repeat(1400)}x` }), reason: /more than 4000 bytes/ },
  'a whiteout': { bytes: more({ name: 'pkg/.wh.x' }), entry: 'pkg/.wh.x', reason: /whiteout/ },
  'an opaque whiteout': { bytes: more({ name: '.wh..wh..opq' }), entry: '.wh..wh..opq', reason: /whiteout/ },
  'a whiteout as a folder': { bytes: more({ name: 'a/.wh.b/c' }), entry: 'a/.wh.b/c', reason: /whiteout/ },
  'a name that is not UTF-8': {
    bytes: more({ name: Buffer.from([0xff, 0xfe]), local: { flags: 0x800 }, central: { flags: 0x800 } }),
    reason: /said to be UTF-8/,
  },
  'a second name in an extra field': {
    bytes: lying({ central: { extra: unicodePath } }),
    entry: 'sample.py',
    reason: /second name/,
  },
  'a name twice': { bytes: more({ name: 'sample.py', content }), entry: 'sample.py', reason: /there twice/ },
  'a file that others need as a folder': {
    bytes: more({ name: 'sample.py/x' }),
    reason: /sample\.py as a file and as a folder/,
  },
  // Types.
  'a symbolic link': { bytes: lying({ mode: 0o120777 }), entry: 'sample.py', reason: /symbolic link/ },
  'a device': { bytes: lying({ mode: 0o060644 }), entry: 'sample.py', reason: /is no file/ },
  'a folder with content': { bytes: more({ name: 'dir/', content }), entry: 'dir/', reason: /folder with content/ },
  // The zip itself.
  nothing: { bytes: Buffer.alloc(0), reason: /no end of a zip/ },
  'no zip': { bytes: Buffer.from('<html>'), reason: /no end of a zip/ },
  'a cut end': { bytes: more().subarray(0, -5), reason: /no end of a zip/ },
  'only the first half': { bytes: more().subarray(0, 200), reason: /no end of a zip/ },
  'bytes after the end': { bytes: ending({ after: Buffer.from('x') }), reason: /no end of a zip/ },
  'a second end in the comment': {
    bytes: ending({ comment: writeZip([]) }),
    reason: /does not end where its end begins/,
  },
  'bytes before everything': {
    bytes: ending({ before: Buffer.from('#!/bin/sh\n'), directoryStart: 4 }),
    reason: /end/,
  },
  'a directory elsewhere': { bytes: ending({ directoryStart: 1 }), reason: /does not end where/ },
  'a directory too large': { bytes: ending({ directorySize: 2 ** 31 }), reason: /does not end where/ },
  'fewer entries than announced': { bytes: ending({ entries: 9 }), reason: /announces 9 entries and has/ },
  'more entries than announced': { bytes: ending({ entries: 1 }), reason: /announces 1 entries and has/ },
  'more entries than anything real': { bytes: ending({ zip64: true, entries: 1e9 }), reason: /200000 is the most/ },
  'a ZIP64 end that lies': { bytes: ending({ zip64: true, directoryStart: 2 ** 40 }), reason: /does not end where/ },
  'a ZIP64 number beyond all files': {
    bytes: ending({ zip64: true, directoryStart: Number.MAX_SAFE_INTEGER * 2 }),
    reason: /beyond all files/,
  },
  'an entry beyond the end': { bytes: lying({ central: { offset: 5000 } }), entry: 'sample.py', reason: /overlaps/ },
  'an entry on another': { bytes: lying({ central: { offset: 60 } }), reason: /overlaps/ },
  'two entries in one place': {
    bytes: writeZip([...whole(), { name: 'other.py', central: { offset: 0 } }]),
    reason: /overlaps/,
  },
  'an entry in another file': { bytes: lying({ central: { disk: 1 } }), entry: 'sample.py', reason: /another file/ },
  encryption: { bytes: lying({ local: { flags: 1 }, central: { flags: 1 } }), entry: 'sample.py', reason: /encrypted/ },
  'a masked directory': { bytes: lying({ central: { flags: 8192 } }), entry: 'sample.py', reason: /encrypted/ },
  bzip2: { bytes: lying({ central: { method: 12 } }), entry: 'sample.py', reason: /bzip2/ },
  LZMA: { bytes: lying({ central: { method: 14 } }), entry: 'sample.py', reason: /LZMA/ },
  Zstandard: { bytes: lying({ central: { method: 93 } }), entry: 'sample.py', reason: /Zstandard/ },
  'an unknown method': { bytes: lying({ central: { method: 77 } }), entry: 'sample.py', reason: /method 77/ },
  'another name in the local header': {
    bytes: lying({ local: { name: Buffer.from('simple.py') } }),
    entry: 'sample.py',
    reason: /another name in its local header/,
  },
  'another method in the local header': { bytes: lying({ local: { method: 0 } }), reason: /another method/ },
  'other flags in the local header': { bytes: lying({ local: { flags: 8 } }), reason: /other flags/ },
  'another checksum in the local header': { bytes: lying({ local: { crc: 1 } }), reason: /another checksum/ },
  'other sizes in the local header': { bytes: lying({ local: { size: 1 } }), reason: /other sizes/ },
  'no local header': {
    bytes: lying({ central: { offset: 3 }, local: { extra: Buffer.alloc(4) } }),
    reason: /no local/,
  },
  'a local header that reaches over the next': {
    bytes: lying({ local: { compressedSize: 500 }, central: { compressedSize: 8 }, raw: Buffer.alloc(0) }),
    entry: 'sample.py',
    reason: /overlaps/,
  },
  'other sums after the data': {
    bytes: lying({ descriptor: Buffer.alloc(16) }),
    entry: 'sample.py',
    reason: /other sums/,
  },
  // Data.
  'a bomb by ratio': {
    bytes: lying({ raw: zeros, local: { size: 2 ** 31 }, central: { size: 2 ** 31 } }),
    entry: 'sample.py',
    reason: /can't give the 2147483648 bytes/,
  },
  'a bomb by many files': {
    bytes: more(
      ...Array.from({ length: 1100 }, (_, i) => ({
        name: `z${i}`,
        raw: zeros,
        local: { size: 2 ** 20 },
        central: { size: 2 ** 20 },
      })),
    ),
    reason: /it unpacks to \d+ bytes/,
  },
  'more than it announces': {
    bytes: lying({ content: 'x = 1', raw: packed }),
    entry: 'sample.py',
    reason: /more than the 5 bytes/,
  },
  'less than it announces': {
    bytes: lying({ local: { size: 7 }, central: { size: 7 } }),
    entry: 'sample.py',
    reason: /inflates to 6 bytes, not the announced 7/,
  },
  'bytes after the end of a deflate stream': {
    bytes: lying({ raw: Buffer.concat([packed, smuggled]) }),
    entry: 'sample.py',
    reason: /48 bytes after the end of its deflate stream/,
  },
  'one byte after the end of a deflate stream': {
    bytes: lying({ raw: Buffer.concat([packed, Buffer.from([0])]) }),
    entry: 'sample.py',
    reason: /1 bytes after the end/,
  },
  'a deflate stream without an end': {
    bytes: lying({ raw: packed.subarray(0, -1) }),
    entry: 'sample.py',
    reason: /does not inflate/,
  },
  'a deflate stream that is none': {
    bytes: lying({ raw: Buffer.from([0xff, 0xff, 0xff]) }),
    entry: 'sample.py',
    reason: /does not inflate/,
  },
  'a wrong checksum': {
    bytes: lying({ local: { crc: 7 }, central: { crc: 7 } }),
    entry: 'sample.py',
    reason: /does not match its checksum/,
  },
  'two sizes of what is not compressed': {
    bytes: lying({ stored: true, local: { size: 5 }, central: { size: 5 } }),
    entry: 'sample.py',
    reason: /two different sizes/,
  },
  'other content than RECORD lists': {
    bytes: lying({ content: 'y = 1\n' }),
    entry: 'sample.py',
    reason: /does not have the sha256 that RECORD lists/,
  },
  'a sha256 of something longer': {
    bytes: record((text) => text.replace(/,6\n/, ',7\n')),
    entry: 'sample.py',
    reason: /has 6 bytes, and 7 by RECORD/,
  },
  // RECORD.
  'no RECORD': {
    bytes: writeZip(wheelEntries(spec)),
    reason: /has no RECORD in/,
  },
  'a file that RECORD does not list': {
    bytes: writeZip([...whole(), { name: 'other.py' }]),
    entry: 'other.py',
    reason: /not listed in RECORD/,
  },
  'a file that only RECORD lists': {
    bytes: record((text) => `gone.py,sha256=abc,1\n${text}`),
    entry: 'gone.py',
    reason: /listed in RECORD and not in the wheel/,
  },
  'a file without a hash': {
    bytes: record((text) => text.replace(/sha256=[^,]+/, '')),
    entry: 'sample.py',
    reason: /no sha256 hash or better/,
  },
  'a file with a weak hash': {
    bytes: record((text) => text.replace(/sha256=[^,]+/, `md5=${hash('md5', content, 'base64url')}`)),
    entry: 'sample.py',
    reason: /no sha256 hash or better/,
  },
  'a RECORD that lists itself with a hash': {
    bytes: record((text) => text.replace('RECORD,,', 'RECORD,sha256=abc,')),
    entry: `${info}/RECORD`,
    reason: /can't have a hash/,
  },
  'a RECORD that is no CSV': { bytes: record((text) => `${text}"x`), entry: `${info}/RECORD`, reason: /line 5/ },
  'a RECORD with two opinions': {
    bytes: record((text) => `sample.py,sha256=abc,6\n${text}`),
    entry: `${info}/RECORD`,
    reason: /"sample.py" is listed twice/,
  },
  // The wheel.
  'no name of a wheel': { bytes: more(), filename: 'sample.zip', reason: /no name of a wheel/ },
  'a file name of another distribution': {
    bytes: more(),
    filename: 'other-1.0-py3-none-any.whl',
    entry: info,
    reason: /not the folder of other 1\.0/,
  },
  'a file name of another version': {
    bytes: more(),
    filename: 'sample-1.1-py3-none-any.whl',
    entry: info,
    reason: /not the folder of sample 1\.1/,
  },
  'no dist-info': { bytes: writeZip([{ name: 'sample.py', content }]), reason: /no \.dist-info folder/ },
  'two dist-infos of its own': {
    bytes: more({ name: 'Sample-1.0.dist-info/x' }),
    reason: /second folder of its kind/,
  },
  'a dist-info of another distribution': {
    bytes: more({ name: 'pip-24.0.dist-info/RECORD' }),
    entry: 'pip-24.0.dist-info',
    reason: /not the folder of sample 1\.0/,
  },
  'a dist-info of another distribution in capitals': {
    bytes: more({ name: 'pip-24.0.DIST-INFO/x' }),
    entry: 'pip-24.0.DIST-INFO',
    reason: /not the folder/,
  },
  'a dist-info of another distribution by .data/purelib': {
    bytes: more({ name: `${data}/purelib/pip-24.0.dist-info/x` }),
    entry: `${data}/purelib/pip-24.0.dist-info/x`,
    reason: /dist-info folder of another distribution/,
  },
  'a dist-info of another distribution by .data/data': {
    bytes: more({ name: `${data}/data/lib64/python3.11/site-packages/pip-24.0.dist-info/x` }),
    reason: /dist-info folder of another distribution/,
  },
  'a second RECORD by .data': {
    bytes: more({ name: `${data}/purelib/${info}/RECORD` }),
    reason: /second file for .*RECORD/,
  },
  'a file twice by .data': {
    bytes: more({ name: `${data}/platlib/sample.py`, content }),
    entry: `${data}/platlib/sample.py`,
    reason: /second file for/,
  },
  'the data of another distribution': { bytes: more({ name: 'pip-24.0.data/data/x' }), reason: /not the folder of/ },
  'an unknown place': { bytes: more({ name: `${data}/stdlib/x` }), reason: /unknown place "stdlib"/ },
  'a file directly in .data': { bytes: more({ name: `${data}/x` }), reason: /lies directly in/ },
  'pyvenv.cfg': { bytes: more({ name: `${data}/data/pyvenv.cfg` }), reason: /would replace pyvenv\.cfg/ },
  'pyvenv.cfg beside python': { bytes: more({ name: `${data}/scripts/pyvenv.cfg` }), reason: /would replace pyvenv/ },
  'python by .data/data': { bytes: more({ name: `${data}/data/bin/python` }), reason: /interpreter bin\/python/ },
  'python by .data/scripts': { bytes: more({ name: `${data}/scripts/python3` }), reason: /interpreter bin\/python3/ },
  'python3.11 as a folder': { bytes: more({ name: `${data}/scripts/python3.11/x` }), reason: /bin\/python3\.11/ },
  'python as an entry point': {
    bytes: saying('entry_points.txt', '[console_scripts]\npython = sample:x\n'),
    entry: `${info}/entry_points.txt`,
    reason: /interpreter bin\/python/,
  },
  'the link lib64': { bytes: more({ name: `${data}/data/lib64` }), reason: /folder of the environment/ },
  'the folder bin': { bytes: more({ name: `${data}/data/bin` }), reason: /folder of the environment/ },
  'an entry point outside': {
    bytes: saying('entry_points.txt', '[console_scripts]\n../../x = sample:x\n'),
    entry: `${info}/entry_points.txt`,
    reason: /line 2: .*no name of a command/,
  },
  'an entry point that is a whiteout': {
    bytes: saying('entry_points.txt', '[console_scripts]\n.wh.pip = sample:x\n'),
    reason: /no name of a command/,
  },
  'an entry point that is code': {
    bytes: saying('entry_points.txt', '\n[gui_scripts]\nx = sample:x\nimport os\n'),
    reason: /line 4/,
  },
  'an entry point that injects': {
    bytes: saying('entry_points.txt', '[console_scripts]\nx = sample:x;import os\n'),
    reason: /line 2: .*is not "command = module:function"/,
  },
  'an entry point without a function': {
    bytes: saying('entry_points.txt', '[console_scripts]\nx = sample\n'),
    reason: /is not "command = module:function"/,
  },
  'Wheel-Version 2': { bytes: saying('WHEEL', 'Wheel-Version: 2.0\n'), entry: 'WHEEL', reason: /Wheel-Version 2\.0/ },
  'no Wheel-Version': { bytes: saying('WHEEL', 'Tag: x\n'), entry: 'WHEEL', reason: /does not say its Wheel-Version/ },
  'no WHEEL': { bytes: without('WHEEL'), reason: /has no WHEEL/ },
  'no METADATA': { bytes: without('METADATA'), reason: /has no METADATA/ },
  'entry points that are not UTF-8': {
    bytes: more({ name: `${info}/entry_points.txt`, content: Buffer.from([0xff]) }),
    reason: /is not UTF-8/,
  },
}

for (const [what, { bytes, entry, reason, filename: name = filename }] of Object.entries(bad)) {
  test(`refused: ${what}`, async () => {
    await assert.rejects(transcode(bytes, name), (error) => {
      assert.ok(error instanceof WheelRefused, String(error))
      assert.match(error.reason, reason)
      assert.ok(error.message.startsWith(`${name}: `) && error.hint.length > 0)
      if (entry !== undefined) assert.equal(error.entry, entry)
      return true
    })
  })
}

test('bytes after a large deflate stream, which is read piece by piece', async () => {
  const large = Buffer.alloc(3 * 2 ** 20, 'abc')
  const raw = deflateRawSync(large, { level: 0 })
  const sums = { crc: crc32(large), size: large.length }
  const wheel = (bytes: Buffer, lies = {}) => {
    const listed = withRecord(spec, [...wheelEntries(spec), { name: 'large', content: large }])
    const specs = [...listed.slice(0, -1), withoutSizes(listed.at(-1) as ZipSpec)]
    const change = (one: ZipSpec) =>
      one.name === 'large' ? { ...one, raw: bytes, local: { ...sums, ...lies }, central: { ...sums, ...lies } } : one
    return writeZip(specs.map(change))
  }
  await transcode(wheel(raw), filename)
  const refusals: [Buffer, object, RegExp][] = [
    [Buffer.concat([raw, smuggled]), {}, /48 bytes after the end/],
    [Buffer.concat([raw, Buffer.alloc(2 ** 20)]), {}, /1048576 bytes after the end/],
    [raw.subarray(0, -1), {}, /does not inflate/],
    [raw, { size: large.length - 1 }, /more than the 3145727 bytes/],
    [raw, { crc: 5 }, /checksum/],
  ]
  for (const [bytes, lies, reason] of refusals) {
    await assert.rejects(transcode(wheel(bytes, lies), filename), (error) => {
      assert.ok(error instanceof WheelRefused, String(error))
      assert.match(error.reason, reason)
      assert.equal(error.entry, 'large')
      return true
    })
  }
})

test('any damage ends in WheelRefused or in the same tree', async () => {
  const good = more({ name: `${data}/scripts/tool`, content: '#!python\n', stored: true })
  const { entries } = await transcode(good, filename)
  const visible = (all: typeof entries) => all.map(({ path, mode, sha256 }) => ({ path, mode, sha256 }))
  await fc.assert(
    fc.asyncProperty(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
      const copy = Buffer.from(good)
      copy[at] = (copy[at] as number) ^ change
      try {
        const other = await transcode(copy, filename)
        // Only modes are in nobody's checksum.
        const modes = visible(other.entries).map((entry) => ({ ...entry, mode: 0 }))
        assert.deepEqual(
          modes,
          visible(entries).map((entry) => ({ ...entry, mode: 0 })),
        )
      } catch (error) {
        assert.ok(error instanceof WheelRefused, String(error))
      }
    }),
    { numRuns: 400 },
  )
})
