/** An error that says what is at fault and, in its hint, the fix. */
export class HintedError extends Error {
  readonly hint: string
  constructor(message: string, hint: string, options?: ErrorOptions) {
    super(message, options)
    this.hint = hint
  }
}

/** One that may be gone a little later. */
export class PassingError extends HintedError {
  /** Whether the same may go well then. */
  readonly retryable: boolean
  constructor(message: string, hint: string, retryable = false) {
    super(message, hint)
    this.retryable = retryable
  }
}
