import type { Digest } from '../blobs/blobs.ts'

/** The formats an environment file may have. One file in `formats/` each. */
export type FormatName =
  | 'container image'
  | 'requirements.txt'
  | 'pylock.toml'
  | 'uv.lock'
  | 'poetry.lock'
  | 'pyproject.toml'
  | 'conda-explicit'
  | 'conda-environment'
  | 'conda-lock'

/** Whether an environment brings its own Python, as conda's do. */
export function bringsPython(format: FormatName): boolean {
  return format.startsWith('conda-')
}

/** Text files that make up one environment, by their path inside the code tree. */
export type EnvironmentFiles = Record<string, string>

/** How the user named the interpreter, with the contents of every file that it reads. Plain JSON, stored as a blob. */
export interface InterpreterSpec {
  format: FormatName
  /** The file that was named or detected: a key of `files`. */
  path: string
  files: EnvironmentFiles
  /** The pyproject.toml that was named, where the file is the lock of its workspace: then it alone is meant. */
  project?: string
  /** Where relative paths of requirements files begin, inside the code tree; its root where absent. */
  folder?: string
  /** Other files of the code that resolving reads, wheels for one, by path: their sha256 in hex. */
  local?: Record<string, string>
  /** Dependency groups and extras that the user asked for, and groups to leave out; absent where they named none. */
  groups?: string[]
  extras?: string[]
  'without-groups'?: string[]
  /** `3.11`, where the user said it. */
  pythonVersion?: string
  /** Which Pythons the files allow, where they say it: `>=3.10,<4`. */
  requiresPython?: string
  /** `python:3.11-slim-bookworm`, or `docker://…` for an image whose packages count, where the user said it. */
  baseImage?: string
  /** What the base's name stood for when it was looked up, where it is `docker://…`: part of the lock and its key. */
  imageDigest?: Digest
  /** Packages of the base's apt, sorted, where the user wants some. */
  software?: string[]
}

/** What of a project or lock a user asked for. */
export interface Choice {
  groups: string[]
  /** Groups that are left out, though they would be taken by default. */
  withoutGroups: string[]
  extras: string[]
}

/** What a user asked for, as lists. */
export function chosen({ groups = [], extras = [], 'without-groups': withoutGroups = [] }: InterpreterSpec): Choice {
  return { groups, withoutGroups, extras }
}
