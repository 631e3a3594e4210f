/** More patch releases than any Python has had. */
const PATCHES = 40

/**
 * Whether a PEP 440 specifier (`>=3.9,<4,!=3.10.*`), or what poetry has beside those (`^3.9 || ~3.8.2`), allows a
 * release of Python. A clause that isn't understood allows every release: whoever resolves will say what is wrong with it.
 * https://python-poetry.org/docs/dependency-specification/#version-constraints
 * @param version `3.11.2`
 */
export function allowsPython(specifier: string, version: string): boolean {
  const release = numbers(version)
  const alternatives = specifier.split(/\|\|?/).map((each) => each.trim().split(/\s*,\s*|(?<=[\d*])\s+/))
  return alternatives.some((clauses) => clauses.every((clause) => allows(clause, release)))
}

/** The same of any package. Versions that are no plain releases (`2024c`, `1.0rc1`) are not judged. */
export function allowsRelease(specifier: string, version: string): boolean {
  return !/^\d+(?:\.\d+)*$/.test(version) || allowsPython(specifier, version)
}

/** The line, from 1, of a project or its lock that says which Pythons it allows; undefined where none does. */
export function pythonLine(text: string | undefined): number | undefined {
  // Packages of a pylock.toml may say their own; poetry.lock says it at its end.
  const [head = ''] = (text ?? '').split(/^\[\[packages\]\]/m, 1)
  const line = head.split('\n').findLastIndex((each) => /^(?:requires-python|python-versions)\s*=/.test(each))
  return line < 0 ? undefined : line + 1
}

/**
 * Whether it allows some release of a minor version.
 * @param minor `3.11`
 */
export function allowsMinor(specifier: string, minor: string): boolean {
  // Nobody's base is of a .0 release for long, and `<=3.11` means nothing above 3.11.0.
  return Array.from({ length: PATCHES }, (_, patch) => `${minor}.${patch + 1}`).some((version) =>
    allowsPython(specifier, version),
  )
}

function allows(clause: string, release: number[]): boolean {
  const [, operator, text = '', wildcard] = /^(~=|===?|!=|<=?|>=?|\^|~|)\s*(\d+(?:\.\d+)*)(\.\*)?$/.exec(clause) ?? []
  if (operator === undefined) return true
  const bound = numbers(text)
  const order = compare(release, bound)
  const begins = compare(release.slice(0, bound.length), bound) === 0
  switch (operator) {
    case '>=':
      return order >= 0
    case '>':
      return order > 0
    case '<':
      return order < 0
    case '<=':
      return order <= 0
    case '!=':
      return wildcard ? !begins : order !== 0
    case '^':
      return order >= 0 && release[0] === bound[0]
    case '~':
      return order >= 0 && compare(release.slice(0, Math.min(2, bound.length)), bound.slice(0, 2)) === 0
    case '~=':
      return order >= 0 && compare(release.slice(0, bound.length - 1), bound.slice(0, -1)) === 0
    default:
      return wildcard ? begins : order === 0
  }
}

function numbers(version: string): number[] {
  return (/^\d+(?:\.\d+)*/.exec(version)?.[0] ?? '').split('.').map(Number)
}

/** As PEP 440 orders releases: missing parts are zero. */
function compare(a: number[], b: number[]): number {
  for (let part = 0; part < Math.max(a.length, b.length); part++) {
    const difference = (a[part] ?? 0) - (b[part] ?? 0)
    if (difference !== 0) return Math.sign(difference)
  }
  return 0
}
