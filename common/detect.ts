/** The formats of environment files. A new one is a row of `FORMATS`. */
export type Format = 'pylock.toml' | 'uv.lock' | 'poetry.lock' | 'requirements.txt' | 'pyproject.toml'

interface FormatRow {
  format: Format
  /** Its name at the root, where `interpreter` is `auto`. */
  detected: string
  /** The names that it may have where `interpreter` names a file. */
  names: RegExp
  /** Lower wins: a lock says exactly what the file that it was made from says loosely. */
  rank: number
}

/** In the order in which `auto` looks. Names of lock files: https://packaging.python.org/en/latest/specifications/pylock-toml/ */
export const FORMATS: readonly FormatRow[] = [
  { format: 'pylock.toml', detected: 'pylock.toml', names: /^pylock(\.[^.]+)?\.toml$/, rank: 1 },
  { format: 'uv.lock', detected: 'uv.lock', names: /^uv\.lock$/, rank: 2 },
  { format: 'poetry.lock', detected: 'poetry.lock', names: /^poetry\.lock$/, rank: 2 },
  { format: 'requirements.txt', detected: 'requirements.txt', names: /\.(txt|in)$/, rank: 3 },
  { format: 'pyproject.toml', detected: 'pyproject.toml', names: /^pyproject\.toml$/, rank: 5 },
]

/** An environment file that was found or named. */
export interface EnvironmentFile {
  /** Inside the code tree. */
  path: string
  format: Format
}

/** No environment file could be chosen. */
export class NotDetected extends Error {
  override name = 'NotDetected'
  readonly code: 'no-environment-file' | 'ambiguous-environment-file' | 'unknown-environment-file'
  readonly hint: string
  constructor(code: NotDetected['code'], message: string, hint: string) {
    super(message)
    this.code = code
    this.hint = hint
  }
}

/**
 * The environment file that `interpreter: auto` means: the one of lowest rank at the root.
 * @throws {NotDetected} when there is none, or two of the same rank
 */
export function detect(paths: Iterable<string>, formats = FORMATS): EnvironmentFile {
  const root = new Set(paths)
  const found = formats.filter((row) => root.has(row.detected)).sort((a, b) => a.rank - b.rank)
  const [first, second] = found
  if (first === undefined) {
    throw new NotDetected(
      'no-environment-file',
      `interpreter: no environment file at the root of the repository (looked for ${listOf(formats)})`,
      'Commit one of them at the root, or name yours with the input "interpreter".',
    )
  }
  if (second?.rank === first.rank) {
    throw new NotDetected(
      'ambiguous-environment-file',
      `interpreter: both ${first.detected} and ${second.detected} are at the root of the repository`,
      `Name the one that is meant with the input "interpreter", for example "interpreter: ${first.detected}".`,
    )
  }
  return { path: first.detected, format: first.format }
}

/**
 * The format of a named environment file, by its name.
 * @throws {NotDetected} when no format has such names
 */
export function formatOf(path: string, formats = FORMATS): EnvironmentFile {
  const name = path.slice(path.lastIndexOf('/') + 1)
  const row = formats.find(({ names }) => names.test(name))
  if (row) return { path, format: row.format }
  throw new NotDetected(
    'unknown-environment-file',
    `interpreter: ${path} has a name of no known format`,
    `Known are ${listOf(formats)} (also pylock.NAME.toml, and any .txt or .in file as requirements).`,
  )
}

function listOf(formats: readonly FormatRow[]): string {
  return formats.map(({ detected }) => detected).join(', ')
}
