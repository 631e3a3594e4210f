/** One row of a RECORD. https://packaging.python.org/en/latest/specifications/recording-installed-packages/#the-record-file */
export interface RecordRow {
  path: string
  /** `sha256=…`, in URL-safe base64 without padding; empty for what can't have one. */
  hash: string
  /** Bytes; empty where unknown. */
  size: string
}

/**
 * Reads a RECORD: CSV as Python's csv module writes it.
 * @throws {SyntaxError} naming the line
 */
export function parseRecord(text: string): RecordRow[] {
  const rows: RecordRow[] = []
  for (const [index, fields] of csvRows(text)) {
    if (fields.length === 1 && fields[0] === '') continue
    const [path = '', hash = '', size = '', ...more] = fields
    if (path === '' || more.length > 0 || !/^\d*$/.test(size))
      throw new SyntaxError(`line ${index} is no row of a RECORD`)
    rows.push({ path, hash, size })
  }
  return rows
}

/** A RECORD with rows in the order of their paths. */
export function formatRecord(rows: RecordRow[]): string {
  const sorted = rows.toSorted((a, b) => (a.path < b.path ? -1 : 1))
  return sorted.map(({ path, hash, size }) => `${[path, hash, size].map(quoted).join(',')}\n`).join('')
}

function quoted(field: string): string {
  return /[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field
}

/** The rows of a CSV with the numbers of the lines that they begin on. */
function* csvRows(text: string): Generator<[number, string[]]> {
  // A field, quoted or not, and what ends it.
  const field = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/y
  let row: string[] = []
  let line = 1
  while (field.lastIndex < text.length || row.length > 0) {
    const begin = field.lastIndex
    const match = field.exec(text)
    if (match === null) throw new SyntaxError(`line ${line} is no row of a RECORD`)
    const [whole, inQuotes, bare = '', end] = match
    row.push(inQuotes === undefined ? bare : inQuotes.replaceAll('""', '"'))
    if (end === ',') continue
    yield [line, row]
    row = []
    line += whole.split('\n').length - 1
    if (field.lastIndex === begin) return
  }
}
