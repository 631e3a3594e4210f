import { EnvironmentFileError } from '../../../common/environment-file-error.ts'
import type { LineOption } from '../../../common/requirement-lines.ts'
import { withoutCredentials } from '../../../common/without-credentials.ts'
import { hostIsPrivate } from '../../policy/addresses.ts'
import type { Place } from './format.ts'
import type { ParsedRequirement } from './requirement-lines.ts'
import { isPath } from './requirement-sources.ts'

/** Options of whole lines that are honoured and are all of their line. */
const FLAGS = new Set(['--pre', '--prefer-binary', '--require-hashes', '--no-index'])
/** Those that one value follows. */
const WITH_VALUE = new Set([
  ...['-r', '--requirement', '-c', '--constraint', '--only-binary', '--no-binary'],
  ...['-i', '--index-url', '--extra-index-url', '-f', '--find-links'],
])
/** What follows them is a requirement. */
const EDITABLE = new Set(['-e', '--editable'])

/** Options that are refused, and what to do instead. */
const REFUSED: Record<string, string> = {
  '--trusted-host': 'Leave it out; the service trusts the authorities in MEADOW_CA_BUNDLE.',
}

/**
 * Whether a line is an editable requirement, and not just an option.
 * @throws {EnvironmentFileError} where an option of a whole line isn't honoured, or is not alone
 */
export function checkOption(place: Place, { name, words }: LineOption): { editable: boolean } {
  const said = withoutCredentials([name, ...words].join(' '))
  const fail = (why: string, hint: string) => new EnvironmentFileError(place.file, place.line, `${said}: ${why}`, hint)
  const editable = EDITABLE.has(name)
  if (!editable && !FLAGS.has(name) && !WITH_VALUE.has(name)) {
    const hint = REFUSED[name] ?? 'Take it out, or correct it where it is a typing error.'
    throw fail('this option is not supported', hint)
  }
  if (words.length === 0 && !FLAGS.has(name)) throw fail('its value is missing', 'Write it behind, on the same line.')
  // pip takes several, and not all of them; a resolver that overlooks an index takes packages from the wrong one.
  if (!editable && words.length > (FLAGS.has(name) ? 0 : 1)) {
    throw fail('there is more on this line than one option', 'Write each option on a line of its own.')
  }
  return { editable }
}

/**
 * The URL of an index that a file names. Whether its host may be private is the service's settings' affair.
 * @throws {EnvironmentFileError}
 */
export function checkIndex(place: Place, option: string, value: string): string {
  const said = `${option} ${withoutCredentials(value)}`
  const fail = (why: string, hint: string) => new EnvironmentFileError(place.file, place.line, `${said}: ${why}`, hint)
  if (!URL.canParse(value)) throw fail('this is no URL', 'Write it like https://host/simple.')
  const url = new URL(value)
  if (url.username || url.password || /\$\{/.test(value)) {
    throw fail('it holds a user name or password', 'Take it out; credentials for indexes come in a later version.')
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw fail('this is no https: URL', 'Give an https: URL.')
  return value
}

/**
 * @param target what the line names instead of a release: a URL or a path
 * @throws {EnvironmentFileError} where a line asks for something that isn't supported, or asks for it badly
 */
export function checkRequirement(place: Place, { name, text, options }: ParsedRequirement, target?: string): void {
  const fail = (message: string, hint: string): never => {
    throw new EnvironmentFileError(place.file, place.line, message, hint)
  }
  for (const option of options) checkItsOption(option, fail)
  const algorithms = options.map(({ value }) => value.split(':', 1)[0]?.toLowerCase())
  if (algorithms.length > 0 && !algorithms.includes('sha256')) {
    fail(
      `--hash=${algorithms[0]}:…: a sha256 is needed, whatever other hashes there are`,
      'Write --hash=sha256:<64 hex digits> too: "uv pip compile --generate-hashes" does it for all lines, "pip hash" says that of a file.',
    )
  }
  if (/^[A-Za-z0-9][\w.-]*=[^=\s]+=[^=\s]+$/.test(text)) {
    fail(
      `${text} is written as conda has it`,
      'For pip it is name==version. Of a conda environment give "conda list --explicit" or "conda env export" instead.',
    )
  }
  const who = name ?? withoutCredentials(text)
  if (target === undefined || /^git\+/i.test(target) || isPath(target)) return
  if (/^(?:hg|svn|bzr)\+/i.test(target)) {
    fail(`${who}: of version control only git is supported`, 'Ask for a release: name==version.')
  }
  const url = URL.canParse(target)
    ? new URL(target)
    : fail(`${who}: ${withoutCredentials(target)} is no URL`, 'Correct it.')
  if (url.protocol !== 'https:') {
    fail(`${who}: ${withoutCredentials(target)} is not an https: URL`, 'Give an https: URL, or ask for name==version.')
  }
  if (url.username || url.password || target.includes('${')) {
    fail(`${who}: its URL holds a user name or password`, 'Take it out; credentials come in a later version.')
  }
  if (hostIsPrivate(url.hostname)) {
    fail(`${who}: ${url.hostname} is a private address`, 'Give a URL that everybody can reach.')
  }
}

function checkItsOption({ name, value }: { name: string; value: string }, fail: (m: string, h: string) => never): void {
  if (name !== '--hash') fail(`${name}: this option is not supported`, 'Take it out; only --hash is honoured here.')
  const match = /^([a-z0-9]+):([0-9a-f]+)$/i.exec(value)
  if (!match) fail(`--hash ${value} is not well formed`, 'Write it like --hash=sha256:<64 hex digits>.')
  if (match?.[1] === 'sha256' && match[2]?.length !== 64) {
    fail(`--hash ${value} has ${match[2]?.length} hex digits`, 'A sha256 has 64.')
  }
}
