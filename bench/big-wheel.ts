import { createHash, randomBytes } from 'node:crypto'
import { open } from 'node:fs/promises'
import { crc32, deflateRawSync } from 'node:zlib'

/** A wheel of many equal modules' worth of data, made on the fly: its file name, and where its bytes are. */
export interface BigWheel {
  filename: string
  file: string
}

/** Each data file's size; random, so that deflating does not make it smaller. */
const DATA_BYTES = 16 * 1024 * 1024

/** Writes a wheel of about so many bytes (a ZIP without ZIP64, so less than 4 GiB). */
export async function writeBigWheel(file: string, bytes: number): Promise<BigWheel> {
  const data = randomBytes(DATA_BYTES)
  const packed = deflateRawSync(data, { level: 1 })
  const sha256 = createHash('sha256').update(data).digest('base64url')
  const names = Array.from({ length: Math.ceil(bytes / packed.length) }, (_, index) => `big/data-${index}.bin`)
  const info = 'big-1.0.dist-info'
  const small: [string, string][] = [
    ['big/__init__.py', ''],
    [`${info}/METADATA`, 'Metadata-Version: 2.1\nName: big\nVersion: 1.0\n'],
    [`${info}/WHEEL`, 'Wheel-Version: 1.0\nGenerator: bench\nRoot-Is-Purelib: true\nTag: py3-none-any\n'],
  ]
  const rows = [
    ...small.map(
      ([name, text]) => `${name},sha256=${createHash('sha256').update(text).digest('base64url')},${text.length}`,
    ),
    ...names.map((name) => `${name},sha256=${sha256},${DATA_BYTES}`),
    `${info}/RECORD,,`,
  ]
  await using zip = await ZipWriter.create(file)
  for (const name of names) await zip.add(name, packed, { crc: crc32(data), size: data.length })
  for (const [name, text] of [...small, [`${info}/RECORD`, `${rows.join('\n')}\n`] as const])
    await zip.add(name, deflateRawSync(text), { crc: crc32(text), size: Buffer.byteLength(text) })
  await zip.finish()
  return { filename: 'big-1.0-py3-none-any.whl', file }
}

/** Writes a ZIP (PKWARE APPNOTE 6.3.10, sections 4.3.7, 4.3.12 and 4.3.16) of deflated entries. */
class ZipWriter implements AsyncDisposable {
  readonly #handle: Awaited<ReturnType<typeof open>>
  readonly #directory: Buffer[] = []
  #at = 0

  private constructor(handle: Awaited<ReturnType<typeof open>>) {
    this.#handle = handle
  }

  static async create(file: string): Promise<ZipWriter> {
    return new ZipWriter(await open(file, 'w'))
  }

  async add(name: string, packed: Buffer, { crc, size }: { crc: number; size: number }): Promise<void> {
    const common = Buffer.alloc(26)
    common.writeUInt16LE(20, 0)
    common.writeUInt16LE(8, 4)
    common.writeUInt16LE(0x21, 8)
    common.writeUInt32LE(crc, 10)
    common.writeUInt32LE(packed.length, 14)
    common.writeUInt32LE(size, 18)
    common.writeUInt16LE(name.length, 22)
    const central = Buffer.alloc(14)
    central.writeUInt32LE((0o100644 << 16) >>> 0, 6)
    central.writeUInt32LE(this.#at, 10)
    // Made by Unix, so that the mode counts.
    this.#directory.push(signature('PK\x01\x02'), Buffer.from([20, 3]), common, central, Buffer.from(name))
    await this.#write(Buffer.concat([signature('PK\x03\x04'), common, Buffer.from(name)]))
    await this.#write(packed)
  }

  async finish(): Promise<void> {
    const start = this.#at
    const directory = Buffer.concat(this.#directory)
    const end = Buffer.alloc(18)
    const count = this.#directory.length / 5
    end.writeUInt16LE(count, 4)
    end.writeUInt16LE(count, 6)
    end.writeUInt32LE(directory.length, 8)
    end.writeUInt32LE(start, 12)
    await this.#write(Buffer.concat([directory, signature('PK\x05\x06'), end]))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close()
  }

  async #write(bytes: Buffer): Promise<void> {
    await this.#handle.writeFile(bytes)
    this.#at += bytes.length
  }
}

function signature(text: string): Buffer {
  return Buffer.from(text, 'latin1')
}
