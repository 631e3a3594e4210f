import { CONDA_PLATFORMS, type CondaPlatform } from './conda-files.ts'
import { HintedError } from './hinted-error.ts'

/** The formats of environment files. A new one is a row of `FORMATS`. */
export type Format =
  | 'pylock.toml'
  | 'uv.lock'
  | 'poetry.lock'
  | 'conda-explicit'
  | 'conda-environment'
  | 'conda-lock'
  | 'requirements.txt'
  | 'pyproject.toml'

interface FormatRow {
  format: Format
  /** Its name at the root, where `interpreter` is `auto`. */
  detected: string
  /** The names that it may have where `interpreter` names a file. */
  names: RegExp
  /**
   * Lower wins, of equal ones none: locks (2), of them the one that any tool can make of another first (1); what conda
   * solves (3 to 5), as it often installs the requirements file beside it; requirements (6); a project that says neither
   * (7).
   */
  rank: number
}

/** Conda's environment files, those that were made for the platform or for Linux first. */
function condaRows(platform: CondaPlatform): FormatRow[] {
  return [`environment-${platform}`, 'environment-linux', 'environment'].flatMap((stem, index): FormatRow[] =>
    ['.yml', '.yaml'].map((end) => ({
      ...{ format: 'conda-environment', detected: `${stem}${end}`, names: /\.ya?ml$/, rank: 3 + index },
    })),
  )
}

/**
 * In the order in which `auto` looks on a platform. Names of lock files:
 * https://packaging.python.org/en/latest/specifications/pylock-toml/
 */
export const formatsOn = (platform: CondaPlatform): readonly FormatRow[] => [
  { format: 'pylock.toml', detected: 'pylock.toml', names: /^pylock(\.[^.]+)?\.toml$/, rank: 1 },
  { format: 'uv.lock', detected: 'uv.lock', names: /^uv\.lock$/, rank: 2 },
  { format: 'poetry.lock', detected: 'poetry.lock', names: /^poetry\.lock$/, rank: 2 },
  { format: 'conda-lock', detected: 'conda-lock.yml', names: /^(?:.+\.)?conda-lock\.ya?ml$/, rank: 2 },
  { format: 'conda-explicit', detected: `conda-${platform}.lock`, names: /^conda-.*\.lock$/, rank: 2 },
  ...condaRows(platform),
  { format: 'requirements.txt', detected: 'requirements.txt', names: /\.(txt|in)$/, rank: 6 },
  { format: 'pyproject.toml', detected: 'pyproject.toml', names: /^pyproject\.toml$/, rank: 7 },
]

/** Those of most machines. */
export const FORMATS = formatsOn('linux-64')

/** Every name that `auto` may find on some platform. */
export const DETECTED: ReadonlySet<string> = new Set(
  CONDA_PLATFORMS.flatMap((platform) => formatsOn(platform).map(({ detected }) => detected)),
)

/** An environment file that was found or named. */
export interface EnvironmentFile {
  /** Inside the code tree. */
  path: string
  format: Format
  /** What else is at the root and would fit, were this one not there. */
  insteadOf?: string[]
}

/** No environment file could be chosen. */
export class NotDetected extends HintedError {
  override name = 'NotDetected'
  readonly code: 'no-environment-file' | 'ambiguous-environment-file' | 'unknown-environment-file'
  constructor(code: NotDetected['code'], message: string, hint: string) {
    super(message, hint)
    this.code = code
  }
}

/**
 * The environment file that `interpreter: auto` means: the one of lowest rank at the root.
 * @throws {NotDetected} when there is none, or two of the same rank
 */
export function detect(paths: Iterable<string>, formats = FORMATS): EnvironmentFile {
  const all = new Set(paths)
  const found = formats.filter((row) => all.has(row.detected)).sort((a, b) => a.rank - b.rank)
  const [first, second] = found
  if (first === undefined) throw nothingThere(all, formats)
  if (second?.rank === first.rank) {
    const names = found.filter(({ rank }) => rank === first.rank).map(({ detected }) => detected)
    throw new NotDetected(
      'ambiguous-environment-file',
      `interpreter: ${names.length === 2 ? 'both ' : ''}${names.join(' and ')} are at the root of the repository, and neither comes before the other`,
      `Name the one that is meant with the input "interpreter", for example "interpreter: ${first.detected}".`,
    )
  }
  const insteadOf = found.slice(1).map(({ detected }) => detected)
  return { path: first.detected, format: first.format, ...(insteadOf.length > 0 && { insteadOf }) }
}

/** Files that people take for environment files, wherever they are; what is not a format here is named too. */
const LOOKS_LIKE_ONE =
  /^(?:requirements[\w.-]*\.(?:txt|in)|pylock\.[^.]+\.toml|environment[\w.-]*\.ya?ml|conda-[\w.-]+\.lock|Pipfile(?:\.lock)?|pdm\.lock|pixi\.lock|setup\.py|setup\.cfg)$/
/** Of those, so many are named. */
const NAMED = 5

function nothingThere(paths: Set<string>, formats: readonly FormatRow[]): NotDetected {
  const names = new Set(formats.map(({ detected }) => detected))
  const nameOf = (path: string) => path.slice(path.lastIndexOf('/') + 1)
  const depth = (path: string) => path.split('/').length
  const near = [...paths]
    .filter((path) => names.has(nameOf(path)) || LOOKS_LIKE_ONE.test(nameOf(path)))
    .sort((a, b) => depth(a) - depth(b) || (a < b ? -1 : 1))
  const there =
    near.length === 0 ? '' : `; there is ${near.slice(0, NAMED).join(', ')}${near.length > NAMED ? ', …' : ''}`
  const usable = near.find((path) => formats.some((row) => row.names.test(nameOf(path))))
  return new NotDetected(
    'no-environment-file',
    `interpreter: no environment file at the root of the repository (looked for ${listOf(formats)}${there})`,
    usable === undefined
      ? 'Commit one of them at the root, or name yours with the input "interpreter".'
      : `Name yours with the input "interpreter", for example "interpreter: ${usable}", or commit one at the root.`,
  )
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
    `Known are ${listOf(formats)} (also pylock.NAME.toml, any .txt or .in file as requirements, and any .yml or .yaml file as conda's).`,
  )
}

function listOf(formats: readonly FormatRow[]): string {
  return formats.map(({ detected }) => detected).join(', ')
}
