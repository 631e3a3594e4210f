/**
 * Says lines that anybody can cause: one an interval at most. The next one says how many were left out before it.
 * @param now milliseconds that only grow
 */
export function pacedLog(log: (line: string) => void, intervalMs: number, now = () => performance.now()) {
  let next = Number.NEGATIVE_INFINITY
  let left = 0
  return (line: string): void => {
    if (now() < next) {
      left++
      return
    }
    log(left === 0 ? line : `${line}; ${left} more before it`)
    next = now() + intervalMs
    left = 0
  }
}
