import type { Readable } from 'node:stream'
import type { Digest } from '../blobs/blobs.ts'
import type { BaseImage } from '../image/base.ts'
import type { Fragment } from '../image/fragment.ts'
import type { BuildSystem } from '../interpreter/build-system.ts'
import type { Artifact } from '../interpreter/lock.ts'

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
