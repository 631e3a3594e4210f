import { TAR_BLOCK, type TarEntry, tarChecksum, tarPadding } from './tar.ts'
import { decimal, octal, paxRecords, TarRefused, text } from './tar-fields.ts'

/** An entry and its bytes. What is not read of them by the time the next entry is asked for is skipped. */
export interface TarItem {
  entry: TarEntry
  content: AsyncIterable<Buffer>
}

/** No path or link target of a real tree comes near this. */
const MAX_PAX = 64 * 1024

/** Type flags that are refused by name. The others are refused by their letter. */
const REFUSED_FLAGS: Record<string, string> = {
  '1': 'is a hard link',
  '3': 'is a character device',
  '4': 'is a block device',
  '6': 'is a fifo',
  '7': 'is a contiguous file',
  g: 'is a global pax header',
  L: 'is a GNU long name',
  K: 'is a GNU long link',
  S: 'is a GNU sparse file',
}

/**
 * Reads a tar (ustar and pax) from hostile hands, entry after entry. Paths come out relative, without `./`, and without
 * a slash at the end; the entry of the root itself is left out. Where a link leads is for the caller to judge.
 * @throws {TarRefused} on anything damaged, cut off, followed by other bytes, or of a type other than file, folder, link
 */
export async function* readTar(source: AsyncIterable<Uint8Array>): AsyncGenerator<TarItem, void, undefined> {
  const bytes = new ByteSource(source)
  try {
    for (let entry = await nextEntry(bytes); entry; entry = await nextEntry(bytes)) {
      const content = contentOf(bytes, entry)
      if (entry.path !== '') yield { entry, content }
      for await (const _skipped of content);
      if (!isZero(await bytes.exactly(tarPadding(entry.size).length))) {
        throw new TarRefused(entry.path, 'is not padded with zeros')
      }
    }
  } finally {
    await bytes.close()
  }
}

/** May be iterated again after it was left half way: it goes on where it was. */
function contentOf(bytes: ByteSource, { path, size }: TarEntry): AsyncIterable<Buffer> {
  let left = size
  return {
    async *[Symbol.asyncIterator]() {
      while (left > 0) {
        const chunk = await bytes.some(left)
        if (chunk === undefined) throw new TarRefused(path, 'is cut off')
        left -= chunk.length
        yield chunk
      }
    },
  }
}

/** Bytes of a stream in the portions that are asked for. */
class ByteSource {
  readonly #chunks: AsyncIterator<Uint8Array>
  #rest: Buffer = Buffer.alloc(0)

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#chunks = source[Symbol.asyncIterator]()
  }

  /** At most `max` bytes, at least one; undefined at the end. */
  async some(max: number): Promise<Buffer | undefined> {
    while (this.#rest.length === 0) {
      const { value, done } = await this.#chunks.next()
      if (done) return undefined
      this.#rest = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
    }
    const portion = this.#rest.subarray(0, max)
    this.#rest = this.#rest.subarray(portion.length)
    return portion
  }

  async exactly(count: number): Promise<Buffer> {
    const portions: Buffer[] = []
    for (let left = count; left > 0; ) {
      const portion = await this.some(left)
      if (portion === undefined) throw new TarRefused(undefined, 'it is cut off')
      portions.push(portion)
      left -= portion.length
    }
    return portions.length === 1 ? (portions[0] as Buffer) : Buffer.concat(portions)
  }

  async close(): Promise<void> {
    await this.#chunks.return?.()
  }
}

/** The next entry, its pax header included; undefined at a proper end. */
async function nextEntry(bytes: ByteSource): Promise<TarEntry | undefined> {
  const header = await bytes.exactly(TAR_BLOCK)
  if (isZero(header)) {
    await expectEnd(bytes)
    return undefined
  }
  checkHeader(header)
  if (flagOf(header) !== 'x') return toEntry(header, new Map())
  const size = octal(header, 124, 12, 'size')
  if (size > MAX_PAX) throw new TarRefused(undefined, `a pax header of ${size} bytes`)
  const pax = paxRecords(await bytes.exactly(size))
  await bytes.exactly(tarPadding(size).length)
  const followed = await bytes.exactly(TAR_BLOCK)
  checkHeader(followed)
  return toEntry(followed, pax)
}

function toEntry(header: Buffer, pax: Map<string, string>): TarEntry {
  const prefix = text(header, 345, 155)
  const name = text(header, 0, 100)
  const raw = pax.get('path') ?? (prefix === '' ? name : `${prefix}/${name}`)
  const path = normalised(raw)
  const type = typeOf(flagOf(header), path)
  const size = pax.has('size') ? decimal(pax.get('size') ?? '', path) : octal(header, 124, 12, 'size')
  const mode = octal(header, 100, 8, 'mode') & 0o7777
  const mtime = pax.has('mtime') ? Math.floor(Number(pax.get('mtime'))) : octal(header, 136, 12, 'time')
  if (!Number.isSafeInteger(mtime)) throw new TarRefused(path, 'has a time that is no number')
  if (type !== 'file' && size !== 0) throw new TarRefused(path, 'has content but is no file')
  if (type !== 'directory' && (path === '' || raw.endsWith('/'))) throw new TarRefused(raw, 'is named like a folder')
  if (type !== 'symlink') return { path, type, mode, size, mtime }
  const link = pax.get('linkpath') ?? text(header, 157, 100)
  if (link === '') throw new TarRefused(path, 'is a link to nothing')
  return { path, type, mode, size, mtime, link }
}

/** Relative, without `.` parts; refused where it is absolute or climbs. */
function normalised(path: string): string {
  if (path === '' || path.startsWith('/')) throw new TarRefused(path, 'is not a relative path')
  const parts = path.split('/').filter((part) => part !== '' && part !== '.')
  if (parts.includes('..')) throw new TarRefused(path, 'leads out of the archive')
  return parts.join('/')
}

function typeOf(flag: string, path: string): TarEntry['type'] {
  if (flag === '0' || flag === '\0') return 'file'
  if (flag === '2') return 'symlink'
  if (flag === '5') return 'directory'
  throw new TarRefused(path, REFUSED_FLAGS[flag] ?? `has the unknown type ${JSON.stringify(flag)}`)
}

function checkHeader(header: Buffer): void {
  if (header.toString('latin1', 257, 263) !== 'ustar\0') throw new TarRefused(undefined, 'a header that is not ustar')
  if (octal(header, 148, 8, 'checksum') !== tarChecksum(header)) {
    throw new TarRefused(undefined, 'a header whose checksum is wrong')
  }
}

async function expectEnd(bytes: ByteSource): Promise<void> {
  if (!isZero(await bytes.exactly(TAR_BLOCK))) throw new TarRefused(undefined, 'only half an end')
  for (let rest = await bytes.some(MAX_PAX); rest; rest = await bytes.some(MAX_PAX)) {
    if (!isZero(rest)) throw new TarRefused(undefined, 'bytes after its end')
  }
}

function isZero(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0)
}

function flagOf(header: Buffer): string {
  return header.toString('latin1', 156, 157)
}
