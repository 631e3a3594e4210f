import { findDirectory, safe } from './zip-end.ts'
import type { ZipFile } from './zip-file.ts'
import { zipExtra, zipName } from './zip-names.ts'
import { ZipRefused } from './zip-refused.ts'

/**
 * One entry as the central directory has it.
 * https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
 */
export interface ZipEntry {
  /** `/` between parts; folders end in one. */
  name: string
  /** The name's bytes, as the local header must repeat them. */
  rawName: Buffer
  flags: number
  method: 'stored' | 'deflated'
  crc: number
  /** Bytes, compressed. */
  compressedSize: number
  /** Bytes. */
  size: number
  /** Type and permission bits, where the zip was made on a system that has them; else 0. */
  unixMode: number
  /** Where its local header begins. */
  offset: number
  /** Where the next entry, or the directory, begins. */
  limit: number
}

/** What no real archive comes near. */
const MOST_UNPACKED = 64 * 2 ** 30
/** Bytes that any zip may unpack to; a large one to a hundred times its size. */
const ALWAYS_ALLOWED = 2 ** 30
const MOST_RATIO = 100

const METHODS: Record<number, string> = {
  1: 'shrink',
  6: 'implode',
  9: 'Deflate64',
  12: 'bzip2',
  14: 'LZMA',
  93: 'Zstandard',
  95: 'XZ',
  98: 'PPMd',
  99: 'AES encryption',
}

const CENTRAL_SIZE = 46
/** Bytes of a local header without its name and extra fields. */
export const LOCAL_SIZE = 30

/**
 * Reads a zip's central directory. Strict, so that no other reader can see another content: nothing between directory
 * and end, no name twice, every header where it may be.
 * @throws {ZipRefused}
 */
export function readDirectory(file: ZipFile): ZipEntry[] {
  const end = findDirectory(file)
  const bytes = file.read(end.start, end.size)
  const entries: ZipEntry[] = []
  let at = 0
  while (at < bytes.length) {
    const { entry, length } = parseEntry(bytes.subarray(at))
    entries.push(entry)
    at += length
  }
  if (entries.length !== end.entries) {
    throw new ZipRefused(undefined, `it announces ${end.entries} entries and has ${entries.length}`)
  }
  checkNames(entries)
  checkSizes(entries, file.size)
  setLimits(entries, end.start)
  return entries
}

function parseEntry(bytes: Buffer): { entry: ZipEntry; length: number } {
  if (bytes.length < CENTRAL_SIZE || bytes.readUInt32LE(0) !== 0x02014b50) {
    throw new ZipRefused(undefined, 'its directory is not well formed')
  }
  const nameEnd = CENTRAL_SIZE + bytes.readUInt16LE(28)
  const extraEnd = nameEnd + bytes.readUInt16LE(30)
  const length = extraEnd + bytes.readUInt16LE(32)
  if (length > bytes.length) throw new ZipRefused(undefined, 'its directory is not well formed')
  const flags = bytes.readUInt16LE(8)
  // A copy: the view would keep the whole directory.
  const rawName = Buffer.from(bytes.subarray(CENTRAL_SIZE, nameEnd))
  const name = zipName(rawName, flags)
  const extra = zipExtra(name, bytes.subarray(nameEnd, extraEnd))
  const wide = wideFields(name, extra.get(1))
  const entry: ZipEntry = {
    name,
    rawName,
    flags,
    method: methodOf(name, flags, bytes.readUInt16LE(10)),
    crc: bytes.readUInt32LE(16),
    size: wide(bytes.readUInt32LE(24)),
    compressedSize: wide(bytes.readUInt32LE(20)),
    offset: wide(bytes.readUInt32LE(42)),
    unixMode: bytes.readUInt32LE(38) >>> 16,
    limit: 0,
  }
  if (bytes.readUInt16LE(34) !== 0) throw new ZipRefused(name, 'lies in another file')
  return { entry, length }
}

/** Reads what ZIP64 moved into the extra field: the fields that are all ones, in their order (APPNOTE 4.5.3). */
function wideFields(name: string, extra: Buffer | undefined): (field: number) => number {
  let at = 0
  return (field) => {
    if (field !== 0xffffffff) return field
    if (extra === undefined || at + 8 > extra.length) throw new ZipRefused(name, 'lacks its ZIP64 sizes')
    at += 8
    return safe(extra.readBigUInt64LE(at - 8))
  }
}

function methodOf(name: string, flags: number, method: number): ZipEntry['method'] {
  // Encrypted, strongly encrypted, with a masked directory.
  if (flags & (1 | 64 | 8192)) throw new ZipRefused(name, 'is encrypted')
  if (flags & 32) throw new ZipRefused(name, 'is a patch for other data')
  if (method === 0) return 'stored'
  if (method === 8) return 'deflated'
  throw new ZipRefused(
    name,
    `is compressed by ${METHODS[method] ?? `method ${method}`}; only deflate and none are read`,
  )
}

function checkNames(entries: ZipEntry[]): void {
  const names = new Set<string>()
  for (const { name } of entries) {
    if (names.has(name)) throw new ZipRefused(name, 'is there twice')
    names.add(name)
  }
}

function checkSizes(entries: ZipEntry[], fileSize: number): void {
  let total = 0
  for (const { name, method, size, compressedSize } of entries) {
    if (method === 'stored' && size !== compressedSize) throw new ZipRefused(name, 'has two different sizes')
    // Deflate can't do better than 1032:1.
    if (size > compressedSize * 1032 + 64) throw new ZipRefused(name, `can't give the ${size} bytes that it announces`)
    total += size
  }
  const most = Math.min(MOST_UNPACKED, Math.max(ALWAYS_ALLOWED, fileSize * MOST_RATIO))
  if (total > most)
    throw new ZipRefused(undefined, `it unpacks to ${total} bytes from ${fileSize}; ${most} is the most`)
}

function setLimits(entries: ZipEntry[], directory: number): void {
  const placed = entries.toSorted((a, b) => a.offset - b.offset)
  for (const [index, entry] of placed.entries()) {
    const next = placed[index + 1]
    entry.limit = next?.offset ?? directory
    if (entry.offset + LOCAL_SIZE + entry.rawName.length + entry.compressedSize > entry.limit) {
      throw new ZipRefused(entry.name, `overlaps ${next ? JSON.stringify(next.name) : 'the directory'}`)
    }
  }
}
