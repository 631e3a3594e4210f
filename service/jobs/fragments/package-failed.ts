import { PassingError } from '../../../common/hinted-error.ts'
import type { Place } from '../../interpreter/formats/format.ts'
import { locate } from '../../interpreter/formats.ts'
import type { Askers } from '../../interpreter/lock-diff.ts'
import type { InterpreterSpec } from '../../interpreter/spec.ts'

/** A package whose bytes can't be had or used, with the place where the user's files ask for it. */
export class PackageFailed extends Error {
  override name = 'PackageFailed'
  readonly hint: string | undefined
  readonly retryable: boolean
  constructor(place: string, cause: Error & { hint?: string; retryable?: boolean }, message = cause.message) {
    super(`${place}: ${message}`, { cause })
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

/**
 * An error that names a package, by what the user wrote of it, or else of what asks for it; any other as it is.
 * @param askersOf gives who asks for whom, as far as that is known by now
 */
export async function located(
  error: unknown,
  spec: InterpreterSpec,
  askersOf: () => Promise<Askers> = async () => () => [],
): Promise<unknown> {
  if (!(error instanceof Error) || !('package' in error) || typeof error.package !== 'string') return error
  const place = locate(spec, error.package)
  if (place) return new PackageFailed(`${place.file}:${place.line}`, error)
  const way = wayTo(error.package, spec, await askersOf())
  // Most say the package first.
  const what = error.message.startsWith(`${error.package}: `) ? error.message : `${error.package}: ${error.message}`
  if (way === undefined) return new PackageFailed(spec.path, error, `something in it asks for ${what}`)
  const [first = '', ...others] = way.names
  const asking = [`${first} asks for `, ...others.map((name) => `${name}, which asks for `)].join('')
  return new PackageFailed(`${way.place.file}:${way.place.line}`, error, asking + what)
}

/** The packages that lead to one from the nearest that the user's files name. */
function wayTo(name: string, spec: InterpreterSpec, askers: Askers): { place: Place; names: string[] } | undefined {
  const seen = new Set([name])
  let ways = [[name]]
  while (ways.length > 0) {
    ways = ways.flatMap((way) => askers(way[0] ?? '').flatMap((asker) => (seen.has(asker) ? [] : [[asker, ...way]])))
    for (const way of ways) {
      const [asker = ''] = way
      seen.add(asker)
      const place = locate(spec, asker)
      if (place) return { place, names: way.slice(0, -1) }
    }
  }
  return undefined
}
