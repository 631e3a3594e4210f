import type { Readable } from 'node:stream'
import { HintedError } from '../../common/hinted-error.ts'
import type { Digest } from '../blobs/blobs.ts'
import type { BaseImage } from '../image/base.ts'
import type { CondaFile } from '../image/conda-fragment.ts'
import type { Fragment } from '../image/fragment.ts'
import type { BuildSystem } from '../interpreter/build-system.ts'
import type { Artifact, Lock } from '../interpreter/lock.ts'
import type { InstalledPackage, Probe } from '../interpreter/probe.ts'
import type { InterpreterSpec } from '../interpreter/spec.ts'
import type { CodeTree } from '../source/bundle-tree.ts'
import type { GitDependencies } from '../source/git-dependencies.ts'
import type { ActivateRequest } from './activate.ts'
import type { AptOptions, Installed } from './apt.ts'
import type { LinkRequest } from './conda.ts'

export { ResolutionFailed } from '../interpreter/resolution.ts'
export type { LinkRequest } from './conda.ts'

/** Called with each piece of a builder's own output, as it comes. */
export type Report = (line: string) => void

/** What every step of a builder may be given. */
export interface StepOptions {
  signal: AbortSignal
  /** Lines for the build's log. */
  report: Report
}

/** What a resolving step may be given besides. */
export interface ResolveOptions extends StepOptions {
  /**
   * Who asks. A container is kept ready for a while for the same domain, with what it knows of the index, and is never
   * shared between two; without a domain each call has one of its own.
   */
  domain?: string
  /** What is in the environment already, and stays: the image's own packages where the spec is on an image. */
  installed?: InstalledPackage[]
  /** The code that requirements name files and projects of, and how git repositories are had. */
  code?: CodeTree | undefined
  git?: GitDependencies
}

/** One artifact's source files, to be compiled in the base that will run them. */
export interface CompileRequest {
  /** Echoed in the result. */
  key: string
  files: Fragment
}

/** An image whose Python compiles. */
export interface Compiling {
  /** What its byte code is known by: whoever has the same id gives the same bytes. */
  id: Digest
  /** Made when it is first needed. */
  image: () => Promise<BaseImage>
}

/** The byte code of one artifact. */
export interface Compiled {
  key: string
  /**
   * In the order of their paths, which are below `/` (`opt/env/…/__pycache__/x.cpython-311.pyc`); the same bytes for
   * the same source and compiler.
   */
  files: { path: string; content: Buffer }[]
  /** Sources that do not compile (some packages ship such files); said, never fatal. */
  skipped: string[]
}

/** What a wheel is built from. */
export type BuildSource =
  /** The verified bytes of an sdist on this machine. */
  | { file: string }
  /**
   * A tar of source files; a directory's by their paths in the code tree. Read once.
   * @property version what a backend is told that would ask git for its version
   * @property system where the artifact is editable: who makes its wheel
   */
  | { tree: Readable; version?: string; system?: BuildSystem }

/** Something to be built. */
export interface BuildRequest {
  artifact: Artifact
  source: BuildSource
}

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
