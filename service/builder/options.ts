import type { InstalledPackage } from '../interpreter/probe.ts'
import type { CodeTree } from '../source/bundle-tree.ts'
import type { GitDependencies } from '../source/git-dependencies.ts'

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
