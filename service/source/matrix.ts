/** Values of a job's matrix that are written out, by their key. */
export type Matrix = ReadonlyMap<string, readonly string[]>

/** More combinations than this in one step are not worked out. */
const MAX_COMBINATIONS = 100

/** Reads `strategy.matrix`: lists of plain values, and what `include` adds. What is not plain is left out. */
export function matrixOf(value: unknown): Matrix {
  const matrix = new Map<string, string[]>()
  const add = (key: string, item: unknown) => {
    const text = plain(item)
    if (text === undefined || key === 'include' || key === 'exclude') return
    const values = matrix.get(key) ?? []
    if (!values.includes(text)) values.push(text)
    matrix.set(key, values)
  }
  const fields = record(value)
  for (const [key, items] of Object.entries(fields)) for (const item of list(items)) add(key, item)
  for (const row of list(fields.include)) for (const [key, item] of Object.entries(record(row))) add(key, item)
  return matrix
}

/**
 * Texts with their `${{ matrix.x }}` filled in, in all combinations; one row a combination.
 * @returns undefined where another expression, or a value that is not written out, stands in the way
 */
export function filledIn(texts: readonly string[], matrix: Matrix): string[][] | undefined {
  const keys = new Set<string>()
  for (const text of texts) {
    for (const [, expression = ''] of text.matchAll(/\$\{\{(.*?)\}\}/gs)) {
      const [, key] = /^\s*matrix\.([\w-]+)\s*$/.exec(expression) ?? []
      if (key === undefined || !matrix.has(key)) return undefined
      keys.add(key)
    }
  }
  let rows: Map<string, string>[] = [new Map()]
  for (const key of keys) {
    rows = rows.flatMap((row) => (matrix.get(key) ?? []).map((value) => new Map(row).set(key, value)))
    if (rows.length > MAX_COMBINATIONS) return undefined
  }
  const fill = (text: string, row: Map<string, string>) =>
    text.replace(/\$\{\{\s*matrix\.([\w-]+)\s*\}\}/g, (_, key: string) => row.get(key) ?? '')
  return rows.map((row) => texts.map((text) => fill(text, row)))
}

/** An object's own fields; none where it is something else. */
export function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {}
}

export function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : []
}

/** A scalar as GitHub hands it to an action; undefined for anything else. */
export function plain(value: unknown): string | undefined {
  return ['string', 'number', 'boolean'].includes(typeof value) ? String(value) : undefined
}
