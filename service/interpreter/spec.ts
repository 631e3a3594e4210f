/** The formats an environment file may have. One file in `formats/` each. */
export type FormatName = 'requirements.txt' | 'pylock.toml' | 'poetry.lock'

/** Text files that make up one environment, by their path inside the code tree. */
export type EnvironmentFiles = Record<string, string>

/** How the user named the interpreter, with the contents of every file that it reads. Plain JSON, stored as a blob. */
export interface InterpreterSpec {
  format: FormatName
  /** The file that was named or detected: a key of `files`. */
  path: string
  files: EnvironmentFiles
  /** Dependency groups and extras that the user asked for; absent where they asked for none. */
  groups?: string[]
  extras?: string[]
  /** `3.11`, where the user said it. */
  pythonVersion?: string
  /** `python:3.11-slim-bookworm`, where the user said it. */
  baseImage?: string
}
