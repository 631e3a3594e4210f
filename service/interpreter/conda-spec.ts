import { KNOWN_SUBDIR } from './conda.ts'

/**
 * What of a match spec counts here; the solver reads it for good.
 * https://docs.conda.io/projects/conda/en/stable/user-guide/concepts/pkg-specs.html#package-match-specifications
 */
const PARTS = /^(?:(\S+?)::)?([\w.-]+)(.*)$/s
/** What is behind the name where version and build are said: `=2.1.0=py311_0`, `==2.1.0 py311_0`. */
const EXACT = /^(?:\s*={1,2}\s*|\s+)[\w.!+]+(?:=|\s+)\w+$/

/** The name of the package that a spec asks for. */
export function specName(spec: string): string {
  return (PARTS.exec(spec)?.[2] ?? spec).toLowerCase()
}

/** Plain versions: `=3.12`, `=2.1.0=py311_0`, `==2.1`, `>=2,<3`. */
const FUZZY = /^=\s*(\d+(?:\.\d+)*)(?:\.\*)?(?:=\S+)?$/
const ONE = /^==\s*(\d+(?:\.\d+)*)(?:=\S+)?$/
const RANGE = /^(?:(?:>=?|<=?|!=)\s*\d+(?:\.\d+)*\s*(?:,\s*(?!$)|$))+$/

/** Which versions a spec allows, as PEP 440 says it; undefined where it says none, or more than plain numbers. */
export function specVersions(spec: string): string | undefined {
  const said = PARTS.exec(spec)?.[3]?.trim() ?? ''
  const [, fuzzy] = FUZZY.exec(said) ?? []
  if (fuzzy !== undefined) return `==${fuzzy}.*`
  const [, one] = ONE.exec(said) ?? []
  return one !== undefined ? `==${one}` : RANGE.test(said) ? said : undefined
}

/** The channel that it names (`conda-forge::numpy`), where it does. */
export function specChannel(spec: string): string | undefined {
  return PARTS.exec(spec)?.[1]
}

/**
 * Whether conda reads the name of a channel as that of a folder on the machine.
 * https://github.com/conda/conda/blob/main/conda/common/path/__init__.py (`is_path`)
 */
export function isFolder(channel: string): boolean {
  return /^(?:\.{1,2}(?:[/\\]|$)|~|[/\\]|[a-z]:[/\\]|file:)/i.test(channel)
}

/** Whether it asks for one build of one version. */
export function isExact(spec: string): boolean {
  return EXACT.test(PARTS.exec(spec)?.[3] ?? '')
}

/** Without the platform that conda writes behind a channel: it is known which one is meant. */
export function withoutSubdir(spec: string): string {
  const [channel = '', ...rest] = spec.split('::')
  const slash = channel.lastIndexOf('/')
  const isSubdir = rest.length > 0 && KNOWN_SUBDIR.test(channel.slice(slash + 1))
  return isSubdir ? [channel.slice(0, slash), ...rest].join('::') : spec
}
