import { PassingError } from '../../../common/hinted-error.ts'
import { locate } from '../../interpreter/formats.ts'
import type { InterpreterSpec } from '../../interpreter/spec.ts'

/** A package whose bytes can't be had or used, with the place where the user's files ask for it. */
export class PackageFailed extends Error {
  override name = 'PackageFailed'
  readonly hint: string | undefined
  readonly retryable: boolean
  constructor(place: string, cause: Error & { hint?: string; retryable?: boolean }) {
    super(`${place}: ${cause.message}`, { cause })
    this.hint = cause.hint
    this.retryable = cause.retryable === true
  }
}

/** What went wrong with one package, where the error itself does not know it: its repository, or limits of its build. */
export class OfPackage extends PassingError {
  override name = 'OfPackage'
  /** Normalised. */
  readonly package: string
  constructor(name: string, { message, hint, retryable = false }: Error & { hint: string; retryable?: boolean }) {
    super(`${name}: ${message}`, hint, retryable)
    this.package = name
  }
}

/** An error that names a package, by what the user wrote of it; any other as it is. */
export function located(error: unknown, spec: InterpreterSpec): unknown {
  if (!(error instanceof Error) || !('package' in error) || typeof error.package !== 'string') return error
  const place = locate(spec, error.package)
  return new PackageFailed(place ? `${place.file}:${place.line}` : spec.path, error)
}
