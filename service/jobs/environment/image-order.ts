import type { InterpreterSpec } from '../../interpreter/spec.ts'
import type { Domain } from '../../policy/domain.ts'
import type { FirstFetches } from './first-fetches.ts'
import type { ProjectCode } from './pin-sources.ts'

/** Wheels that are on this machine already, by their names. */
export type WheelsHere = ReadonlyMap<string, { file: string; size: number; sha256: string }>

/** An image that somebody wants. */
export interface ImageOrder {
  domain: Domain
  /** The repository's id. */
  repository: string
  /** Where the commit was pushed to: a delta builds on this branch's newest image, else on the repository's. */
  branch: string | undefined
  /** How the request names the interpreter: `auto`, a path, an image. */
  named: string
  spec: InterpreterSpec
  /** The code of the commit: what the lock's paths lie in. Absent where it can have none. */
  code?: ProjectCode
  /** The service's own wheels, from its committed list. */
  local?: WheelsHere
  /** Files that making the lock had to fetch. */
  fetched?: FirstFetches
}
