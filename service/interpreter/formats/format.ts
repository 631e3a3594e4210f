import type { CondaPlatform } from '../../../common/conda-files.ts'
import type { Lock } from '../lock.ts'
import type { Probe } from '../probe.ts'
import type { Resolve } from '../resolution.ts'
import type { EnvironmentFiles, FormatName, InterpreterSpec } from '../spec.ts'

/** The code tree that an environment file lies in. */
export interface CodeFiles {
  /** Every file of it. */
  paths(): Promise<string[]>
  /** Undefined where there is no such file. */
  read(path: string): Promise<Uint8Array | undefined>
  /** Hex sha256 of a file of any size; undefined where there is none. */
  hash(path: string): Promise<string | undefined>
}

/** What a user may choose of an environment beside its file. */
export type FormatOption = 'groups' | 'without-groups' | 'extras'

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
  /** The options that mean something to it. */
  options: readonly FormatOption[]
  /** Neither its locks nor what reads them say which releases were yanked: their indexes are asked. */
  yankedUnsaid?: true
  /**
   * The file that is taken in place of the named one, which may be that one itself.
   * @param platform of the machine that it is for
   * @throws {EnvironmentFileError} where two would fit
   */
  instead?(code: CodeFiles, path: string, platform: CondaPlatform): Promise<string>
  /**
   * Every file that the named one reads, by path, checked as far as that goes without asking anybody.
   * @throws {EnvironmentFileError} naming file and line
   */
  load(code: CodeFiles, path: string): Promise<EnvironmentFiles>
  /** Which Pythons the loaded files allow, as a PEP 440 specifier, where they say it. */
  requiresPython?(files: EnvironmentFiles, path: string): string | undefined
  /** Files of the code beside those, read by the resolver alone, by path: their sha256 in hex. */
  local?(code: CodeFiles, loaded: { path: string; files: EnvironmentFiles }): Promise<Record<string, string>>
  /** @throws {ResolutionFailed} naming file and line */
  lock(spec: InterpreterSpec, probe: Probe, resolve: Resolve): Promise<Lock>
  /** What of a loaded spec its user may not expect, in sentences. */
  notes?(spec: InterpreterSpec): string[]
  /** Where the user's files speak of a package (normalised name), to say it in errors about its bytes. */
  locate(spec: InterpreterSpec, name: string): Place | undefined
}
