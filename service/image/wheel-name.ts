import { normalizeName } from '../../common/package-name.ts'
import { WheelRefused } from './wheel-refused.ts'

/** What a wheel's file name says. */
export interface WheelName {
  /** Normalised (PEP 503). */
  name: string
  /** As the file name spells it. */
  distribution: string
  version: string
}

/**
 * Reads `{distribution}-{version}(-{build})?-{python}-{abi}-{platform}.whl`.
 * @throws {WheelRefused} when the name is none of a wheel
 */
export function parseWheelName(filename: string): WheelName {
  const parts = /^([^-/\\]+)-([^-/\\]+)(-\d[^-/\\]*)?(-[^-/\\]+){3}\.whl$/.exec(filename)
  const [, distribution = '', version = ''] = parts ?? []
  if (!/^[A-Za-z0-9]([A-Za-z0-9._]*[A-Za-z0-9])?$/.test(distribution) || !/^[A-Za-z0-9._+!]+$/.test(version)) {
    throw new WheelRefused(filename, undefined, 'is no name of a wheel')
  }
  return { name: normalizeName(distribution), distribution, version }
}

/** Whether two texts are the same version, however they spell it. */
export function sameVersion(a: string, b: string): boolean {
  return canonicalVersion(a) === canonicalVersion(b)
}

/** https://packaging.python.org/en/latest/specifications/version-specifiers/#appendix-parsing-version-strings-with-regular-expressions */
const VERSION = new RegExp(
  '^v?(?:(?<epoch>\\d+)!)?(?<release>\\d+(?:\\.\\d+)*)' +
    '(?:[-_.]?(?<pre>alpha|a|beta|b|preview|pre|c|rc)[-_.]?(?<preNumber>\\d+)?)?' +
    '(?:[-_.]?(?<post>post|rev|r)[-_.]?(?<postNumber>\\d+)?)?' +
    '(?:[-_.]?(?<dev>dev)[-_.]?(?<devNumber>\\d+)?)?' +
    '(?:[+_](?<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?$',
)
const PRE: Record<string, string> = { alpha: 'a', beta: 'b', c: 'rc', pre: 'rc', preview: 'rc' }

function canonicalVersion(text: string): string {
  const lower = text.trim().toLowerCase()
  const groups = VERSION.exec(lower)?.groups
  if (groups === undefined) return lower.replace(/_/g, '-')
  const { epoch = '0', release = '', pre, preNumber, post, postNumber, dev, devNumber, local } = groups
  const number = (digits = '0') => digits.replace(/^0+(?=\d)/, '')
  const dotted = release.split('.').map(number).join('.')
  return [
    `${number(epoch)}!${dotted.replace(/(\.0)+$/, '')}`,
    pre === undefined ? '' : `${PRE[pre] ?? pre}${number(preNumber)}`,
    post === undefined ? '' : `post${number(postNumber)}`,
    dev === undefined ? '' : `dev${number(devNumber)}`,
    local === undefined
      ? ''
      : `+${local
          .split(/[-_.]/)
          .map((part) => (/^\d+$/.test(part) ? number(part) : part))
          .join('.')}`,
  ].join('/')
}
