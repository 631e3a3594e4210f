/** One entry of a tar (POSIX.1-1988 ustar, with a pax header where a field does not fit). */
export interface TarEntry {
  /** Without a leading slash; folders may but need not end in one. */
  path: string
  type: 'file' | 'directory' | 'symlink'
  /** Permission bits. */
  mode: number
  /** Bytes of content; 0 for folders and links. */
  size: number
  /** Target of a symbolic link. */
  link?: string
  /** Seconds since 1970. */
  mtime: number
}

export const TAR_BLOCK = 512

/** What ends a tar: two blocks of zeros. */
export const TAR_END = Buffer.alloc(2 * TAR_BLOCK)

/** Type flags of ustar for what we write. */
const TYPE_FLAGS = { file: '0', symlink: '2', directory: '5' } as const

/** The largest number in an octal field of 12 bytes with its terminator. */
const MAX_OCTAL = 0o77777777777

/**
 * The header of an entry, pax header included where path, link or size need one. Owner 0:0 without names. Canonical:
 * the same entry gives the same bytes.
 * https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html#tag_20_94_13_06
 * @throws {RangeError} when a field can't be written at all
 */
export function tarHeader(entry: TarEntry): Buffer {
  const path = entry.type === 'directory' && !entry.path.endsWith('/') ? `${entry.path}/` : entry.path
  const link = entry.link ?? ''
  check(entry, path, link)
  const pax: [string, string][] = []
  const place = splitPath(path)
  const linkFits = isAscii(link) && link.length <= 100
  if (!linkFits) pax.push(['linkpath', link])
  if (!place) pax.push(['path', path])
  if (entry.size > MAX_OCTAL) pax.push(['size', String(entry.size)])

  const header = ustar({
    ...(place ?? { prefix: '', name: ascii(path) }),
    mode: entry.mode,
    size: entry.size > MAX_OCTAL ? 0 : entry.size,
    mtime: entry.mtime,
    flag: TYPE_FLAGS[entry.type],
    link: linkFits ? link : ascii(link),
  })
  if (pax.length === 0) return header
  const records = Buffer.concat(pax.map(([key, value]) => paxRecord(key, value)))
  const paxHeader = ustar({
    prefix: '',
    name: '././@PaxHeader',
    mode: 0o644,
    size: records.length,
    mtime: 0,
    flag: 'x',
    link: '',
  })
  return Buffer.concat([paxHeader, records, tarPadding(records.length), header])
}

/** The zeros that follow `size` bytes of content. */
export function tarPadding(size: number): Buffer {
  return Buffer.alloc((TAR_BLOCK - (size % TAR_BLOCK)) % TAR_BLOCK)
}

/** A whole tar of small things in memory, in the given order. Sizes are those of the contents. */
export function tarArchive(entries: Iterable<Omit<TarEntry, 'size'> & { content?: Uint8Array }>): Buffer {
  const parts: Uint8Array[] = []
  for (const { content = new Uint8Array(), ...entry } of entries) {
    parts.push(tarHeader({ ...entry, size: content.length }), content, tarPadding(content.length))
  }
  return Buffer.concat([...parts, TAR_END])
}

function check(entry: TarEntry, path: string, link: string): void {
  const refuse = (why: string) => {
    throw new RangeError(`tar: ${JSON.stringify(entry.path)} ${why}`)
  }
  if (path === '' || path === '/' || path.startsWith('/') || path.includes('\0')) refuse('is no path for an entry')
  if (!path.isWellFormed() || !link.isWellFormed()) refuse('is not valid Unicode')
  if (entry.type === 'file' && path.endsWith('/')) refuse('is a file but ends like a folder')
  if ((entry.type === 'symlink') !== (link !== '') || link.includes('\0')) refuse('has a link target that does not fit')
  if (!Number.isSafeInteger(entry.size) || entry.size < 0) refuse('has no valid size')
  if (entry.type !== 'file' && entry.size !== 0) refuse('has a size but no content')
  if (!Number.isInteger(entry.mode) || entry.mode < 0 || entry.mode > 0o7777) refuse('has no valid mode')
  if (!Number.isInteger(entry.mtime) || entry.mtime < 0 || entry.mtime > MAX_OCTAL) refuse('has no valid time')
}

/** How a path is written in `prefix` and `name`; undefined where it does not fit. */
function splitPath(path: string): { prefix: string; name: string } | undefined {
  if (!isAscii(path)) return undefined
  if (path.length <= 100) return { prefix: '', name: path }
  // The last slash that leaves a name: a folder's own slash at the end is not one.
  const slash = path.slice(0, 156).lastIndexOf('/', path.length - 2)
  if (slash <= 0 || path.length - slash - 1 > 100) return undefined
  return { prefix: path.slice(0, slash), name: path.slice(slash + 1) }
}

function ustar(fields: {
  prefix: string
  name: string
  mode: number
  size: number
  mtime: number
  flag: string
  link: string
}): Buffer {
  const header = Buffer.alloc(TAR_BLOCK)
  header.write(fields.name.slice(0, 100), 0, 'latin1')
  header.write(octal(fields.mode, 8), 100, 'latin1')
  header.write(octal(0, 8), 108, 'latin1')
  header.write(octal(0, 8), 116, 'latin1')
  header.write(octal(fields.size, 12), 124, 'latin1')
  header.write(octal(fields.mtime, 12), 136, 'latin1')
  header.write(fields.flag, 156, 'latin1')
  header.write(fields.link.slice(0, 100), 157, 'latin1')
  header.write('ustar\x0000', 257, 'latin1')
  header.write(octal(0, 8), 329, 'latin1')
  header.write(octal(0, 8), 337, 'latin1')
  header.write(fields.prefix, 345, 'latin1')
  header.write(`${tarChecksum(header).toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return header
}

/** The sum of a header's bytes, its own field counted as blanks. */
export function tarChecksum(header: Uint8Array): number {
  let sum = 8 * 0x20
  for (let i = 0; i < TAR_BLOCK; i++) if (i < 148 || i >= 156) sum += header[i] as number
  return sum
}

function octal(value: number, width: number): string {
  return `${value.toString(8).padStart(width - 1, '0')}\0`
}

/** `length key=value\n`, where length counts itself. */
function paxRecord(key: string, value: string): Buffer {
  const rest = Buffer.byteLength(` ${key}=${value}\n`)
  let length = rest + String(rest).length
  if (rest + String(length).length !== length) length = rest + String(length).length
  return Buffer.from(`${length} ${key}=${value}\n`)
}

function isAscii(text: string): boolean {
  return /^[\x20-\x7e]*$/.test(text)
}

function ascii(text: string): string {
  return text.replace(/[^\x20-\x7e]/gu, '_')
}
