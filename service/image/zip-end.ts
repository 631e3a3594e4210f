import type { ZipFile } from './zip-file.ts'
import { ZipRefused } from './zip-refused.ts'

const END_SIGNATURE = 0x06054b50
const END_SIZE = 22
const LOCATOR_SIZE = 20
const END64_SIZE = 56

/** What no real archive comes near. */
const MOST_ENTRIES = 200_000
const MOST_DIRECTORY = 64 * 2 ** 20

/** Where a zip's central directory is. */
export interface DirectoryPlace {
  start: number
  size: number
  entries: number
}

/**
 * Finds the central directory by the records at the end (APPNOTE 4.3.14 to 4.3.16), ZIP64 included.
 * @throws {ZipRefused} unless the directory, the records and the file end one where the next begins
 */
export function findDirectory(file: ZipFile): DirectoryPlace {
  const tailSize = Math.min(file.size, END_SIZE + 0xffff)
  const tail = file.read(file.size - tailSize, tailSize)
  for (let at = tail.length - END_SIZE; at >= 0; at--) {
    if (tail.readUInt32LE(at) !== END_SIGNATURE) continue
    // The first one from behind that other readers may stop at: either it is right or nothing is.
    if (at + END_SIZE + tail.readUInt16LE(at + 20) !== tail.length) break
    return parseEnd(file, tail.subarray(at), file.size - tail.length + at)
  }
  throw new ZipRefused(undefined, 'it has no end of a zip: it is cut off, followed by other bytes, or no zip')
}

function parseEnd(file: ZipFile, end: Buffer, position: number): DirectoryPlace {
  const fields = {
    disks: end.readUInt16LE(4) + end.readUInt16LE(6),
    here: end.readUInt16LE(8),
    entries: end.readUInt16LE(10),
    size: end.readUInt32LE(12),
    start: end.readUInt32LE(16),
  }
  const locatorAt = position - LOCATOR_SIZE
  const locator = locatorAt >= 0 ? file.read(locatorAt, LOCATOR_SIZE) : undefined
  if (locator?.readUInt32LE(0) === 0x07064b50) {
    const end64 = parseEnd64(file, locator, locatorAt)
    const same = (small: number, full: number, most: number) => small === most || small === full
    if (
      !same(fields.entries, end64.entries, 0xffff) ||
      !same(fields.size, end64.size, 0xffffffff) ||
      !same(fields.start, end64.start, 0xffffffff) ||
      !same(fields.here, end64.entries, 0xffff) ||
      fields.disks !== 0
    ) {
      throw new ZipRefused(undefined, 'its two ends contradict each other')
    }
    return checkEnd(end64, locatorAt - END64_SIZE)
  }
  if (fields.disks !== 0 || fields.here !== fields.entries) throw new ZipRefused(undefined, 'it spans several files')
  return checkEnd(fields, position)
}

function parseEnd64(file: ZipFile, locator: Buffer, locatorAt: number): DirectoryPlace {
  const at = safe(locator.readBigUInt64LE(8))
  if (at !== locatorAt - END64_SIZE || locator.readUInt32LE(4) !== 0 || locator.readUInt32LE(16) !== 1) {
    throw new ZipRefused(undefined, 'its ZIP64 end is not where it belongs')
  }
  const end = file.read(at, END64_SIZE)
  const entries = safe(end.readBigUInt64LE(32))
  if (
    end.readUInt32LE(0) !== 0x06064b50 ||
    safe(end.readBigUInt64LE(4)) !== END64_SIZE - 12 ||
    end.readUInt32LE(16) !== 0 ||
    end.readUInt32LE(20) !== 0 ||
    safe(end.readBigUInt64LE(24)) !== entries
  ) {
    throw new ZipRefused(undefined, 'its ZIP64 end is not well formed')
  }
  return { entries, size: safe(end.readBigUInt64LE(40)), start: safe(end.readBigUInt64LE(48)) }
}

function checkEnd({ start, size, entries }: DirectoryPlace, position: number): DirectoryPlace {
  if (start + size !== position) throw new ZipRefused(undefined, 'its directory does not end where its end begins')
  if (entries > MOST_ENTRIES || size > MOST_DIRECTORY) {
    throw new ZipRefused(undefined, `it has ${entries} entries; ${MOST_ENTRIES} is the most`)
  }
  return { start, size, entries }
}

/** @throws {ZipRefused} when a number is beyond all files */
export function safe(value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER))
    throw new ZipRefused(undefined, 'it holds a number that is beyond all files')
  return Number(value)
}
