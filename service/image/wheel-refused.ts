import { HintedError } from '../../common/hinted-error.ts'
import { normalizeName } from '../../common/package-name.ts'

/** A wheel that breaks the format, is damaged, or would touch what is not its own. */
export class WheelRefused extends HintedError {
  override name = 'WheelRefused'
  /** The wheel's file name. */
  readonly wheel: string
  /** The package that its file name speaks of, normalised. */
  readonly package: string
  /** The entry at fault, where it is one's. */
  readonly entry: string | undefined
  readonly reason: string
  constructor(wheel: string, entry: string | undefined, reason: string, hint = DEFAULT_HINT) {
    super(entry === undefined ? `${wheel}: ${reason}` : `${wheel}: ${JSON.stringify(entry)} ${reason}`, hint)
    this.wheel = wheel
    this.package = normalizeName(wheel.split('-', 1)[0] ?? '')
    this.entry = entry
    this.reason = reason
  }
}

const DEFAULT_HINT =
  'Pin another version of the package, or have the wheel built anew: this one breaks the wheel format ' +
  '(https://packaging.python.org/en/latest/specifications/binary-distribution-format/).'
