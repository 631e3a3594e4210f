import { LOCAL_SIZE, type ZipEntry } from './zip-directory.ts'
import { safe } from './zip-end.ts'
import type { ZipFile } from './zip-file.ts'
import { zipExtra } from './zip-names.ts'
import { ZipRefused } from './zip-refused.ts'

/** Bit 3 of an entry's flags: its sizes follow its data. */
const DESCRIPTOR_FLAG = 8

/**
 * Checks that an entry's local header says what the directory says.
 * @returns where the entry's data begins
 */
export function checkLocalHeader(file: ZipFile, entry: ZipEntry): number {
  const { name, rawName, flags, offset } = entry
  const differs = (what: string) => new ZipRefused(name, `has ${what} in its local header than in the directory`)
  const header = file.read(offset, LOCAL_SIZE + rawName.length)
  if (header.readUInt32LE(0) !== 0x04034b50) throw new ZipRefused(name, 'has no local header where it should be')
  if (header.readUInt16LE(6) !== flags) throw differs('other flags')
  if (header.readUInt16LE(8) !== (entry.method === 'stored' ? 0 : 8)) throw differs('another method')
  const sameName = header.readUInt16LE(26) === rawName.length && header.subarray(LOCAL_SIZE).equals(rawName)
  if (!sameName) throw differs('another name')

  const start = offset + LOCAL_SIZE + rawName.length + header.readUInt16LE(28)
  const end = start + entry.compressedSize
  if (end > entry.limit) throw new ZipRefused(name, 'overlaps what follows it')
  const extra = zipExtra(name, file.read(offset + LOCAL_SIZE + rawName.length, header.readUInt16LE(28))).get(1)
  const sums = [header.readUInt32LE(14), header.readUInt32LE(18), header.readUInt32LE(22)] as const
  const wide = extra !== undefined && extra.length >= 16
  const size = sums[2] === 0xffffffff && wide ? safe(extra.readBigUInt64LE(0)) : sums[2]
  const compressed = sums[1] === 0xffffffff && wide ? safe(extra.readBigUInt64LE(8)) : sums[1]
  const later = flags & DESCRIPTOR_FLAG
  const same = (value: number, expected: number) => value === expected || (later && value === 0)
  if (!same(sums[0], entry.crc)) throw differs('another checksum')
  if (!same(compressed, entry.compressedSize) || !same(size, entry.size)) throw differs('other sizes')
  if (later) checkDescriptor(file, entry, end)
  return start
}

/** Checksum and sizes after the data, with or without a signature, in 4 or 8 bytes each (APPNOTE 4.3.9). */
function checkDescriptor(file: ZipFile, entry: ZipEntry, at: number): void {
  const bytes = file.read(at, Math.min(24, entry.limit - at))
  const found = [0, 4].some((skip) => {
    if (skip === 4 && (bytes.length < 4 || bytes.readUInt32LE(0) !== 0x08074b50)) return false
    return sumsAt(bytes, skip, entry, 4) || sumsAt(bytes, skip, entry, 8)
  })
  if (!found) throw new ZipRefused(entry.name, 'is followed by other sums than the directory has')
}

function sumsAt(bytes: Buffer, at: number, entry: ZipEntry, width: 4 | 8): boolean {
  if (bytes.length < at + 4 + 2 * width || bytes.readUInt32LE(at) !== entry.crc) return false
  const read = (place: number) => (width === 4 ? BigInt(bytes.readUInt32LE(place)) : bytes.readBigUInt64LE(place))
  return read(at + 4) === BigInt(entry.compressedSize) && read(at + 4 + width) === BigInt(entry.size)
}
