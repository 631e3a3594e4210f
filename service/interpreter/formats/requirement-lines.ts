import { normalizeName } from '../../../common/package-name.ts'
import { lineOption } from '../../../common/requirement-lines.ts'

/** A line that asks for a package. */
export interface ParsedRequirement {
  /** Normalised. Absent where the line is a URL or a path alone. */
  name?: string
  /** Without hashes and other options. */
  text: string
  /** What follows `@`, or the line itself where it is a URL or a path alone. */
  target?: string
  /** `==2.1,<3`, without the marker. */
  specifier: string
  options: { name: string; value: string }[]
}

/** Takes a requirement apart as far as its checks here need it; the resolver reads it for good. */
export function parseRequirement(text: string): ParsedRequirement {
  const [requirement = '', ...rest] = text.split(/\s+(?=--?[a-z])/i)
  const options = rest.flatMap((written) => {
    const option = lineOption(written)
    return option ? { name: option.name, value: option.text } : []
  })
  // Outside of a URL a semicolon begins the marker; in one it needs a blank before it.
  const named = /^([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[[^\]]*\])?\s*(.*)$/.exec(requirement)
  const isTarget = /^[a-z][a-z0-9+.-]*:|^[./~]|[\\/]|\.(?:whl|zip|tar\.\w+|tgz)$/i.test(
    requirement.split(/[\s@;]/, 1)[0] ?? '',
  )
  if (isTarget || !named?.[1]) {
    return { text: requirement, target: requirement.split(/\s+;/, 1)[0] ?? '', specifier: '', options }
  }
  const [, name, after = ''] = named
  const base = { name: normalizeName(name), text: requirement, options }
  if (after.startsWith('@')) return { ...base, target: after.slice(1).trim().split(/\s+;/, 1)[0] ?? '', specifier: '' }
  return { ...base, specifier: after.split(';', 1)[0]?.replace(/[\s()]/g, '') ?? '' }
}

/** Whether a specifier leaves one version only. PEP 440: `==` without a wildcard, `===`. */
export function isExact(specifier: string): boolean {
  return specifier.split(',').some((clause) => /^===?[^*=]+$/.test(clause))
}
