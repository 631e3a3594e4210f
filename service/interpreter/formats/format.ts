import type { Lock } from '../lock.ts'
import type { Probe } from '../probe.ts'
import type { Resolve } from '../resolution.ts'
import type { EnvironmentFiles, FormatName, InterpreterSpec } from '../spec.ts'

/** Gives a file of the code tree, or undefined where there is none. */
export type ReadFile = (path: string) => Promise<Uint8Array | undefined>

/** Where something is said in the user's files. */
export interface Place {
  /** Inside the code tree. */
  file: string
  /** From 1. */
  line: number
}

/** A format of environment files. One file in this folder each, one row in `formats.ts`. */
export interface Format {
  name: FormatName
  /**
   * Every file that the named one reads, by path, checked as far as that goes without asking anybody.
   * @throws {EnvironmentFileError} naming file and line
   */
  load(read: ReadFile, path: string): Promise<EnvironmentFiles>
  /** @throws {ResolutionFailed} naming file and line */
  lock(spec: InterpreterSpec, probe: Probe, resolve: Resolve): Promise<Lock>
  /** Where the user's files speak of a package (normalised name), to say it in errors about its bytes. */
  locate(spec: InterpreterSpec, name: string): Place | undefined
}
