/** A time limit that starts anew with every sign of life. */
export interface NoProgress extends Disposable {
  /** Aborted when nothing was heard for the limit. */
  readonly signal: AbortSignal
  /** Something moved. */
  tick(): void
  /** Nothing is expected until the next tick. */
  rest(): void
}

/** @param limit milliseconds without a tick until the signal is aborted with a `TimeoutError` */
export function noProgress(limit: number): NoProgress {
  const controller = new AbortController()
  const expire = () => controller.abort(new DOMException(`no progress in ${limit / 1000} s`, 'TimeoutError'))
  let timer = setTimeout(expire, limit)
  return {
    signal: controller.signal,
    tick() {
      clearTimeout(timer)
      timer = setTimeout(expire, limit)
    },
    rest: () => clearTimeout(timer),
    [Symbol.dispose]: () => clearTimeout(timer),
  }
}
