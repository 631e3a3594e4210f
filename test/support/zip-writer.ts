import { crc32, deflateRawSync } from 'node:zlib'

/** Header fields, as they are written. */
export interface ZipFields {
  name: Buffer
  flags: number
  method: number
  crc: number
  compressedSize: number
  size: number
  extra: Buffer
}

/** One entry; what is not said is made right. */
export interface ZipSpec {
  /** Bytes are written as they are, without the flag for UTF-8. */
  name: string | Buffer
  content?: string | Buffer
  /** Not compressed. */
  stored?: boolean
  /** Type and permission bits; 0o100644 if absent. */
  mode?: number
  /** Written in place of the compressed content. */
  raw?: Buffer
  /** Sums follow the data, and the local header has zeros. */
  descriptor?: boolean | Buffer
  /** Sizes are in ZIP64 extra fields. */
  zip64?: boolean
  /** Lies in the two headers. */
  local?: Partial<ZipFields>
  central?: Partial<ZipFields> & { offset?: number; disk?: number }
}

/** Lies at the end of a zip. */
export interface ZipEnd {
  before?: Buffer
  after?: Buffer
  comment?: Buffer
  /** With a ZIP64 end, whether needed or not. */
  zip64?: boolean
  entries?: number
  directorySize?: number
  directoryStart?: number
}

const ONES = 0xffffffff

/** A zip, made right or as wrong as the caller wants it. */
export function writeZip(specs: ZipSpec[], end: ZipEnd = {}): Buffer {
  const parts: Buffer[] = [end.before ?? Buffer.alloc(0)]
  const directory: Buffer[] = []
  let position = parts[0]?.length ?? 0
  for (const spec of specs) {
    const fields = fieldsOf(spec)
    const local = localHeader(spec, fields)
    const descriptor = spec.descriptor ? descriptorOf(spec, fields) : Buffer.alloc(0)
    const data = dataOf(spec)
    directory.push(centralHeader(spec, fields, position))
    parts.push(local, data, descriptor)
    position += local.length + data.length + descriptor.length
  }
  const all = Buffer.concat(directory)
  parts.push(all, endRecords(specs.length, all.length, position, end), end.after ?? Buffer.alloc(0))
  return Buffer.concat(parts)
}

function contentOf({ content = '' }: ZipSpec): Buffer {
  return Buffer.from(content)
}

function dataOf(spec: ZipSpec): Buffer {
  return spec.raw ?? (spec.stored ? contentOf(spec) : deflateRawSync(contentOf(spec)))
}

function fieldsOf(spec: ZipSpec): ZipFields {
  const content = contentOf(spec)
  const utf8 = typeof spec.name === 'string' && /[^\x20-\x7e]/.test(spec.name) ? 0x800 : 0
  return {
    name: Buffer.from(spec.name),
    flags: utf8 | (spec.descriptor ? 8 : 0),
    method: spec.stored ? 0 : 8,
    crc: crc32(content),
    compressedSize: dataOf(spec).length,
    size: content.length,
    extra: Buffer.alloc(0),
  }
}

function localHeader(spec: ZipSpec, fields: ZipFields): Buffer {
  const sums = spec.descriptor ? { crc: 0, compressedSize: 0, size: 0 } : {}
  const all = { ...fields, ...sums, ...(spec.zip64 && wide([fields.size, fields.compressedSize])), ...spec.local }
  const header = Buffer.alloc(30)
  header.writeUInt32LE(0x04034b50, 0)
  header.writeUInt16LE(spec.zip64 ? 45 : 20, 4)
  common(header, 6, all)
  return Buffer.concat([header, all.name, all.extra])
}

function centralHeader(spec: ZipSpec, fields: ZipFields, position: number): Buffer {
  const offset = spec.zip64 ? { offset: ONES } : { offset: position }
  const sizes = spec.zip64 && wide([fields.size, fields.compressedSize, position])
  const all = { ...fields, ...offset, ...sizes, disk: 0, ...spec.central }
  const header = Buffer.alloc(46)
  header.writeUInt32LE(0x02014b50, 0)
  // Made by version 2.0 on Unix.
  header.writeUInt16LE(0x0314, 4)
  header.writeUInt16LE(spec.zip64 ? 45 : 20, 6)
  common(header, 8, all)
  header.writeUInt16LE(all.disk, 34)
  header.writeUInt32LE(((spec.mode ?? 0o100644) << 16) >>> 0, 38)
  header.writeUInt32LE(all.offset, 42)
  return Buffer.concat([header, all.name, all.extra])
}

/** The fields that both headers have, in the same order. */
function common(header: Buffer, at: number, fields: ZipFields): void {
  header.writeUInt16LE(fields.flags, at)
  header.writeUInt16LE(fields.method, at + 2)
  // 1980-01-01
  header.writeUInt32LE(0x00210000, at + 4)
  header.writeUInt32LE(fields.crc, at + 8)
  header.writeUInt32LE(fields.compressedSize, at + 12)
  header.writeUInt32LE(fields.size, at + 16)
  header.writeUInt16LE(fields.name.length, at + 20)
  header.writeUInt16LE(fields.extra.length, at + 22)
}

function wide(numbers: number[]): Partial<ZipFields> {
  const extra = Buffer.alloc(4 + 8 * numbers.length)
  extra.writeUInt16LE(1, 0)
  extra.writeUInt16LE(8 * numbers.length, 2)
  for (const [index, number] of numbers.entries()) extra.writeBigUInt64LE(BigInt(number), 4 + 8 * index)
  return { compressedSize: ONES, size: ONES, extra }
}

function descriptorOf({ descriptor }: ZipSpec, { crc, compressedSize, size }: ZipFields): Buffer {
  if (Buffer.isBuffer(descriptor)) return descriptor
  const bytes = Buffer.alloc(16)
  for (const [index, number] of [0x08074b50, crc, compressedSize, size].entries())
    bytes.writeUInt32LE(number, 4 * index)
  return bytes
}

function endRecords(count: number, size: number, position: number, lies: ZipEnd): Buffer {
  const entries = lies.entries ?? count
  const directorySize = lies.directorySize ?? size
  const start = lies.directoryStart ?? position
  const comment = lies.comment ?? Buffer.alloc(0)
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(lies.zip64 ? 0xffff : entries, 8)
  end.writeUInt16LE(lies.zip64 ? 0xffff : entries, 10)
  end.writeUInt32LE(lies.zip64 ? ONES : directorySize, 12)
  end.writeUInt32LE(lies.zip64 ? ONES : start, 16)
  end.writeUInt16LE(comment.length, 20)
  if (!lies.zip64) return Buffer.concat([end, comment])
  const end64 = Buffer.alloc(56)
  end64.writeUInt32LE(0x06064b50, 0)
  end64.writeBigUInt64LE(44n, 4)
  end64.writeUInt16LE(45, 12)
  end64.writeUInt16LE(45, 14)
  for (const [index, number] of [entries, entries, directorySize, start].entries()) {
    end64.writeBigUInt64LE(BigInt(number), 24 + 8 * index)
  }
  const locator = Buffer.alloc(20)
  locator.writeUInt32LE(0x07064b50, 0)
  locator.writeBigUInt64LE(BigInt(position + size), 8)
  locator.writeUInt32LE(1, 16)
  return Buffer.concat([end64, locator, end, comment])
}
