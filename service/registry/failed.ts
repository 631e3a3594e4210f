/** A registry did not answer, refused, or gave other bytes than it announced. */
export class RegistryFailed extends Error {
  override name = 'RegistryFailed'
  /** Of the answer; 0 where there was none. */
  readonly status: number
  constructor(message: string, status = 0, cause?: unknown) {
    super(message, { cause })
    this.status = status
  }
}
