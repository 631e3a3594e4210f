import { createHash, hash } from 'node:crypto'
import { posix } from 'node:path'
import { formatRecord, parseRecord, type RecordRow } from './record.ts'
import type { WheelLayout } from './wheel-layout.ts'
import { WheelRefused } from './wheel-refused.ts'
import type { ZipEntry } from './zip-directory.ts'

/** What RECORD itself and its signatures can't be listed with. */
const UNHASHED = new Set(['RECORD', 'RECORD.jws', 'RECORD.p7s'])
/** "sha256 or better" (binary distribution format); these are what hashlib has everywhere. */
const ALGORITHMS = new Set(['sha256', 'sha384', 'sha512'])

/**
 * What a wheel's RECORD says of its files, by the names in the wheel.
 * @throws {WheelRefused} unless it lists every file once with a good hash and nothing else
 */
export class WheelRecord {
  readonly #filename: string
  readonly #rows: Map<string, RecordRow>

  constructor(filename: string, layout: WheelLayout, entry: ZipEntry, text: string) {
    this.#filename = filename
    this.#rows = this.#parse(entry, text)
    const names = new Set(layout.files.map((file) => file.entry.name))
    const unhashed = new Set([...layout.described].filter(([name]) => UNHASHED.has(name)).map(([, { name }]) => name))
    for (const { name, size } of layout.files.map((file) => file.entry)) {
      const row = this.#rows.get(name)
      if (unhashed.has(name)) {
        if (row?.hash) throw this.#refusal(name, "can't have a hash in RECORD")
      } else if (row === undefined) throw this.#refusal(name, 'is not listed in RECORD')
      else if (!ALGORITHMS.has(algorithmOf(row))) throw this.#refusal(name, 'has no sha256 hash or better in RECORD')
      else if (row.size !== '' && Number(row.size) !== size) {
        throw this.#refusal(name, `has ${size} bytes, and ${row.size} by RECORD`)
      }
    }
    for (const path of this.#rows.keys()) {
      if (!names.has(path) && !path.endsWith('/')) throw this.#refusal(path, 'is listed in RECORD and not in the wheel')
    }
  }

  /** Sums a file while it goes by; `end` gives its sha256 in hex, if it has the hash that RECORD lists. */
  verifier(name: string): { add: (bytes: Buffer) => void; end: () => string } {
    const row = this.#rows.get(name)
    const algorithm = row ? algorithmOf(row) : ''
    const sha256 = createHash('sha256')
    const other = ['', 'sha256'].includes(algorithm) ? undefined : createHash(algorithm)
    const add = (bytes: Buffer) => {
      sha256.update(bytes)
      other?.update(bytes)
    }
    const end = () => {
      const digest = sha256.digest()
      const found = other?.digest() ?? digest
      if (
        algorithm !== '' &&
        row?.hash.slice(algorithm.length + 1).replace(/=+$/, '') !== found.toString('base64url')
      ) {
        throw this.#refusal(name, `does not have the ${algorithm} that RECORD lists`)
      }
      return digest.toString('hex')
    }
    return { add, end }
  }

  /** The row of a file that is installed as it is. */
  installedRow(entry: ZipEntry, path: string): RecordRow {
    const hash = this.#rows.get(entry.name)?.hash ?? ''
    return { path, hash, size: hash === '' ? '' : String(entry.size) }
  }

  #parse(entry: ZipEntry, text: string): Map<string, RecordRow> {
    const rows = new Map<string, RecordRow>()
    try {
      for (const row of parseRecord(text)) {
        const known = rows.get(row.path)
        if (known && known.hash !== row.hash) throw new SyntaxError(`${JSON.stringify(row.path)} is listed twice`)
        rows.set(row.path, row)
      }
    } catch (error) {
      if (error instanceof SyntaxError) throw this.#refusal(entry.name, `can't be read: ${error.message}`)
      throw error
    }
    return rows
  }

  #refusal(entry: string, reason: string): WheelRefused {
    return new WheelRefused(this.#filename, entry, reason)
  }
}

/** The row of a file that we made. */
export function generatedRow(path: string, content: Buffer): RecordRow {
  return { path, hash: `sha256=${hash('sha256', content, 'base64url')}`, size: String(content.length) }
}

/**
 * The RECORD of an installed wheel. Its rows are relative to site-packages.
 * @param site installed path of site-packages
 * @param record installed path of the RECORD itself
 */
export function installedRecord(site: string, record: string, rows: RecordRow[]): Buffer {
  const relative = [...rows, { path: record, hash: '', size: '' }].map((row) => ({
    ...row,
    path: posix.relative(site, row.path),
  }))
  return Buffer.from(formatRecord(relative))
}

function algorithmOf({ hash }: RecordRow): string {
  return hash.slice(0, Math.max(0, hash.indexOf('=')))
}
