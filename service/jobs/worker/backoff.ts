/** How long to wait between attempts, in milliseconds. */
export interface Backoff {
  firstMs: number
  mostMs: number
}

/** Twice as long after each attempt, up to the most; of that between half and all, so that jobs do not come in step. */
export function backoffMs({ firstMs, mostMs }: Backoff, attempt: number, random: number): number {
  return Math.min(mostMs, firstMs * 2 ** (attempt - 1)) * (0.5 + random / 2)
}
