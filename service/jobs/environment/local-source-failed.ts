/** Something that a lock takes from the code tree is not there, or is not what the lock says. */
export class LocalSourceFailed extends Error {
  override name = 'LocalSourceFailed'
  /** The package, normalised. */
  readonly package: string
  readonly hint: string
  constructor(name: string, message: string, hint: string) {
    super(`${name}: ${message}`)
    this.package = name
    this.hint = hint
  }
}
