/** One measured figure beside that of its peer, as it is written to a file. */
export interface Row {
  bench: string
  metric: string
  unit: string
  ours: number
  /** Absent (null) where the figure is only reported. */
  peer: number | null
  /** ours / peer */
  ratio: number | null
}

/** What a figure must keep to: at most, or at least, this many times its peer; or at most this much itself. */
type Bar = { atMost: number } | { atLeast: number } | { limit: number }

const BARS: Record<string, Bar> = {
  'bake push to pulled': { atMost: 0.25 },
  'uv push to pulled': { atMost: 0.3 },
  'poetry push to pulled': { atMost: 0.3 },
  'conda change, push to pulled': { atMost: 0.05 },
  'known push to pulled': { atMost: 0.15 },
  'change push to ready': { atMost: 0.02 },
  'start p50': { atMost: 0.1 },
  'webhook throughput': { atLeast: 1.5 },
  'action bundle': { limit: 500 },
  'mirror unchanged, to nothing to upload': { limit: 1 },
  'mirror unchanged, seen from a new runner': { limit: 1 },
  // The notebook has 150.
  'mirror changed notebook, sent': { limit: 200 },
}

/** A row, its figures rounded to what they mean. */
export function row(bench: string, metric: string, unit: string, ours: number, peer?: number): Row {
  const ratio = peer === undefined ? null : rounded(ours / peer)
  return { bench, metric, unit, ours: rounded(ours), peer: peer === undefined ? null : rounded(peer), ratio }
}

/** The middle of some figures, or any other part of the way from the least to the greatest. */
export function quantile(figures: number[], part = 0.5): number {
  const sorted = figures.toSorted((a, b) => a - b)
  const found = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]
  if (found === undefined) throw new RangeError('no figures')
  return found
}

/** Rows as a table for a terminal, each with its bar and whether it keeps to it. */
export function table(rows: Row[]): string {
  const head = ['bench', 'metric', 'ours', 'peer', 'unit', 'ratio', 'bar', '']
  const cells = rows.map((each) => {
    const figures = [String(each.ours), each.peer === null ? '' : String(each.peer), each.unit]
    return [each.bench, each.metric, ...figures, each.ratio === null ? '' : `${each.ratio}x`, ...verdict(each)]
  })
  const widths = head.map((title, column) => Math.max(title.length, ...cells.map((line) => line[column]?.length ?? 0)))
  const right = new Set([2, 3, 5])
  const line = (of: string[]) =>
    of.map((cell, column) =>
      right.has(column) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
    )
  return [head, ...cells].map((each) => line(each).join('  ').trimEnd()).join('\n')
}

function verdict({ bench, metric, ours, ratio }: Row): [bar: string, kept: string] {
  const bar = BARS[`${bench} ${metric}`]
  if (bar === undefined) return ['', '']
  if ('limit' in bar) return [`<= ${bar.limit}`, ours <= bar.limit ? 'ok' : 'MISSED']
  if (ratio === null) return ['', '']
  if ('atMost' in bar) return [`<= ${bar.atMost}x`, ratio <= bar.atMost ? 'ok' : 'MISSED']
  return [`>= ${bar.atLeast}x`, ratio >= bar.atLeast ? 'ok' : 'MISSED']
}

function rounded(figure: number): number {
  return Number(figure.toPrecision(3))
}
