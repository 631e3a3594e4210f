/** A text that is not what an input takes. */
export class InputFault extends Error {}

const SIZES: Record<string, number> = { B: 1, kB: 1e3, MB: 1e6, GB: 1e9, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 }
const TIMES: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** `2GiB` in bytes. */
export function bytes(text: string): number {
  return Math.round(withUnit(text, SIZES, 'must be a size like 512MiB or 2GiB'))
}

/** `30m` in milliseconds. */
export function milliseconds(text: string): number {
  return Math.round(withUnit(text, TIMES, 'must be a time like 90s, 30m or 2h'))
}

function withUnit(text: string, units: Record<string, number>, fault: string): number {
  const [, digits, unit = ''] = /^(\d+(?:\.\d+)?)\s*([A-Za-z]+)$/.exec(text) ?? []
  const factor = Object.hasOwn(units, unit) ? units[unit] : undefined
  if (digits === undefined || factor === undefined) throw new InputFault(fault)
  return Number(digits) * factor
}

/** YAML's own words for yes and no, as GitHub's own actions take them. */
export function boolean(text: string): boolean {
  if (/^(true|True|TRUE)$/.test(text)) return true
  if (/^(false|False|FALSE)$/.test(text)) return false
  throw new InputFault('must be true or false')
}

export function number(text: string): number {
  if (!/^\d*\.?\d+$/.test(text)) throw new InputFault('must be a number like 2 or 0.5')
  return Number(text)
}

/** YAML reads 3.10 without quotes as the number 3.1, which never was a version worth running. */
export function pythonVersion(text: string): string {
  if (text === '3.1' || text === '3.2') throw new InputFault(`${text} is what YAML makes of ${text}0: write "${text}0"`)
  return text
}

export function json(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new InputFault(`is not JSON (${error instanceof Error ? error.message : error})`)
  }
}

/** One thing a line, as it is; empty lines are skipped. */
export function lines(text: string): string[] {
  return text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter(Boolean)
}

/** `NAME=value` lines; empty ones are skipped. */
export function environmentLines(text: string): Record<string, string> {
  const variables: Record<string, string> = {}
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '') continue
    const equals = line.indexOf('=')
    if (equals < 1) throw new InputFault(`line ${index + 1} must be NAME=value`)
    variables[line.slice(0, equals).trim()] = line.slice(equals + 1)
  }
  return variables
}

/** An address of a service: without credentials, query and fragment, and ending in a slash. */
export function url(text: string): URL {
  const parsed = URL.parse(text)
  if (!parsed || !['https:', 'http:'].includes(parsed.protocol)) {
    throw new InputFault('must be a URL like https://meadow.example.org')
  }
  if (parsed.username || parsed.password || parsed.search || parsed.hash) {
    throw new InputFault('must not have a user, a query or a fragment')
  }
  if (!parsed.pathname.endsWith('/')) parsed.pathname += '/'
  return parsed
}
