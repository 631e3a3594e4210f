/** A tar that is damaged, or holds what we don't take from anyone. */
export class TarRefused extends Error {
  override name = 'TarRefused'
  /** The entry at fault, where one is known. */
  readonly path: string | undefined
  constructor(path: string | undefined, reason: string) {
    super(path === undefined ? `tar refused: ${reason}` : `tar refused: ${JSON.stringify(path)} ${reason}`)
    this.path = path
  }
}

/** An octal number in a header. */
export function octal(header: Buffer, at: number, width: number, what: string): number {
  const digits = header
    .toString('latin1', at, at + width)
    .replace(/^ +/, '')
    .replace(/[\0 ]+$/, '')
  if (!/^[0-7]+$/.test(digits)) throw new TarRefused(undefined, `a header whose ${what} is no octal number`)
  return Number.parseInt(digits, 8)
}

/** A size as pax writes it. */
export function decimal(digits: string, path: string): number {
  const value = /^\d{1,16}$/.test(digits) ? Number(digits) : Number.NaN
  if (!Number.isSafeInteger(value)) throw new TarRefused(path, 'has a size that is no number')
  return value
}

/** A text in a header, up to its first zero. */
export function text(header: Buffer, at: number, width: number): string {
  const end = header.indexOf(0, at)
  return utf8(header.subarray(at, end < 0 || end > at + width ? at + width : end))
}

function utf8(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new TarRefused(undefined, 'a name that is not UTF-8')
  }
}

const USED_KEYS = new Set(['path', 'linkpath', 'size', 'mtime'])

/** The records of a pax header: `length key=value\n`, again and again, to the last byte. Values of keys that are not used are empty. */
export function paxRecords(bytes: Buffer): Map<string, string> {
  const records = new Map<string, string>()
  for (let at = 0; at < bytes.length; ) {
    const blank = bytes.indexOf(0x20, at)
    const digits = blank < 0 ? '' : bytes.toString('latin1', at, blank)
    const end = at + Number(digits)
    if (!/^[1-9]\d{0,6}$/.test(digits) || end > bytes.length || bytes[end - 1] !== 0x0a || end <= blank + 1) {
      throw new TarRefused(undefined, 'a pax header that is not well formed')
    }
    const equals = bytes.indexOf(0x3d, blank)
    const key = bytes.toString('latin1', blank + 1, equals)
    if (equals < 0 || equals > end || key === '' || records.has(key)) {
      throw new TarRefused(undefined, 'a pax header that is not well formed')
    }
    // These change how the rest is to be read.
    if (key.startsWith('GNU.sparse') || key === 'hdrcharset') throw new TarRefused(undefined, `the pax key ${key}`)
    // Others may hold any bytes, and say nothing that is needed here.
    const value = USED_KEYS.has(key) ? utf8(bytes.subarray(equals + 1, end - 1)) : ''
    if (value.includes('\0')) throw new TarRefused(value, 'holds a zero byte')
    records.set(key, value)
    at = end
  }
  return records
}
