import { HintedError } from '../../../common/hinted-error.ts'
/** Something that a lock takes from the code tree is not there, or is not what the lock says. */
export class LocalSourceFailed extends HintedError {
  override name = 'LocalSourceFailed'
  /** The package, normalised. */
  readonly package: string
  constructor(name: string, message: string, hint: string) {
    super(`${name}: ${message}`, hint)
    this.package = name
  }
}
