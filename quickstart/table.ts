/** What a step took, and what it reused: the service's own figures. */
export interface Step {
  name: 'push' | 'run' | 'change' | 'rerun'
  seconds: number
  /** The cache verdict: hit, partial, joined or miss. */
  cache: string
  packagesNew: number
  bytesReused: number
  bytesTransferred: number
}

const COLUMNS: [title: string, cell: (step: Step) => string][] = [
  ['step', (step) => step.name],
  ['seconds', (step) => step.seconds.toFixed(2)],
  ['cache', (step) => step.cache],
  ['new packages', (step) => String(step.packagesNew)],
  ['reused', (step) => megabytes(step.bytesReused)],
  ['transferred', (step) => megabytes(step.bytesTransferred)],
]

/** The steps as a table for a terminal, words to the left, figures to the right. */
export function table(steps: Step[]): string {
  const rows = [COLUMNS.map(([title]) => title), ...steps.map((step) => COLUMNS.map(([, cell]) => cell(step)))]
  const widths = COLUMNS.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const line = (row: string[]) =>
    row.map((cell, column) =>
      column % 2 === 0 && column < 3 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
    )
  return rows.map((row) => line(row).join('  ')).join('\n')
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(bytes < 1e6 && bytes > 0 ? 3 : 1)} MB`
}
