/** A zip that is damaged, ambiguous, or larger than anything real. */
export class ZipRefused extends Error {
  override name = 'ZipRefused'
  /** The entry at fault, where one is known. */
  readonly entry: string | undefined
  readonly reason: string
  constructor(entry: string | undefined, reason: string) {
    super(entry === undefined ? `zip refused: ${reason}` : `zip refused: ${JSON.stringify(entry)} ${reason}`)
    this.entry = entry
    this.reason = reason
  }
}
