import { HintedError } from '../../common/hinted-error.ts'

/** A build backend did not make a wheel. */
export class BuildFailed extends HintedError {
  override name = 'BuildFailed'
  /** The package, normalised. */
  readonly package: string
  constructor(name: string, message: string, hint: string) {
    super(message, hint)
    this.package = name
  }
}

/** An editable wheel that would not work in a run, which has the files of the commit and nothing that a build adds to them. */
export class NotEditable extends BuildFailed {
  override name = 'NotEditable'
  readonly why: string
  constructor(name: string, why: string) {
    super(name, `${name}: ${why}`, 'Install it as a copy: leave the -e (or "editable") out.')
    this.why = why
  }
}
