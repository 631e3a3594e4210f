import type { Readable } from 'node:stream'
import type { BaseImage } from '../image/base.ts'
import type { CondaFile } from '../image/conda-fragment.ts'
import type { Artifact, Lock } from '../interpreter/lock.ts'
import type { Probe } from '../interpreter/probe.ts'
import type { InterpreterSpec } from '../interpreter/spec.ts'
import type { ActivateRequest } from './activate.ts'
import type { AptOptions, Installed } from './apt.ts'
import type { LinkRequest } from './conda.ts'
import type { ResolveOptions, StepOptions } from './options.ts'
import type { BuildRequest, Compiled, CompileRequest, Compiling } from './requests.ts'
import type { Yanked } from './resolver-pool.ts'

export { ResolutionFailed } from '../interpreter/resolution.ts'
export { BuildFailed, NotEditable } from './build-failed.ts'
export type { LinkRequest } from './conda.ts'
export type { Report, ResolveOptions, StepOptions } from './options.ts'
export type { BuildRequest, BuildSource, Compiled, CompileRequest, Compiling } from './requests.ts'

/** Work in containers that hold no credential: the only place where code chosen by a user runs before a run. */
export interface Builder {
  /** Asks a base image's Python about itself. */
  probe(base: BaseImage, options: StepOptions): Promise<Probe>
  /**
   * Turns a spec into a lock for one probe. The newest release that fits counts, though it be a source distribution
   * alone; where that does not say by itself what it needs, its metadata is built in the base.
   * @throws {ResolutionFailed} with the resolver's own explanation, in full
   */
  resolve(base: BaseImage, spec: InterpreterSpec, probe: Probe, options: ResolveOptions): Promise<Lock>
  /** Asks the indexes of some artifacts whether they were yanked. These have ten seconds to answer. */
  yanked(artifacts: Artifact[], probe: Probe, options: ResolveOptions): Promise<Yanked>
  /**
   * Compiles without network, one artifact a process; requests may arrive while others are being compiled.
   * @param take gets each as it is ready, in any order
   */
  compile(
    compiling: Compiling,
    requests: Iterable<CompileRequest> | AsyncIterable<CompileRequest>,
    options: ResolveOptions,
    take: (compiled: Compiled) => Promise<void>,
  ): Promise<void>
  /**
   * Builds a wheel in the base (PEP 517), or for an editable directory one that points into `/workspace` (PEP 660). The
   * result is hostile input like any wheel.
   * @throws {BuildFailed} with the end of the backend's log; for an editable directory whose code a run would not have
   */
  buildWheel(
    base: BaseImage,
    probe: Probe,
    request: BuildRequest,
    options: StepOptions,
  ): Promise<{ filename: string; bytes: Readable }>
  /**
   * Links a conda package by itself, without running anything of it.
   * @param take reads all of its files
   * @throws {LinkFailed}
   */
  link<T>(request: LinkRequest, options: ResolveOptions, take: (files: CondaFile[]) => Promise<T>): Promise<T>
  /** Runs the activation scripts of a conda environment. Gives all that activation sets. */
  activate(request: ActivateRequest, options: StepOptions): Promise<Record<string, string>>
  /**
   * Installs packages by the base's own apt, and makes a layer of what that changed.
   * @throws {AptFailed} in apt's own words
   */
  installByApt(base: BaseImage, packages: string[], options: AptOptions): Promise<Installed>
  /** Removes the containers that are kept ready. */
  close(): Promise<void>
}
