import { EnvironmentFileError } from '../../../common/environment-file-error.ts'
import { hostIsPrivate } from '../../policy/addresses.ts'
import type { Place } from './format.ts'
import type { ParsedRequirement } from './requirement-lines.ts'

/** Options of whole lines that are honoured. Wheels are preferred anyway. */
const HONOURED = new Set([
  ...['-r', '--requirement', '-c', '--constraint', '--only-binary', '--no-binary', '--pre', '--prefer-binary'],
  '--require-hashes',
])

/** Options that are refused, and what to do instead. */
const REFUSED: Record<string, string> = {
  '-e': 'Leave the project itself out: its code is in the working directory of every run.',
  '-i': 'Leave it out; the index is a setting of the service (MEADOW_INDEX_URL).',
  '--extra-index-url': 'Leave it out; the index is a setting of the service (MEADOW_INDEX_URL).',
  '--no-index': 'Leave it out; packages come from the index of the service (MEADOW_INDEX_URL).',
  '-f': 'Name the file by its URL (name @ https://…), or put it on the index.',
  '--trusted-host': 'Leave it out; the service trusts the authorities in MEADOW_CA_BUNDLE.',
}
const LONG: Record<string, string> = { '--editable': '-e', '--index-url': '-i', '--find-links': '-f' }

/** @throws {EnvironmentFileError} where an option of a whole line isn't honoured */
export function checkOption(place: Place, { name, value }: { name: string; value: string }): void {
  if (HONOURED.has(name)) return
  const shown = value === '' ? name : `${name} ${withoutCredentials(value)}`
  const hint = REFUSED[LONG[name] ?? name] ?? 'Take it out, or correct it where it is a typing error.'
  throw new EnvironmentFileError(place.file, place.line, `${shown}: this option is not supported`, hint)
}

/** @throws {EnvironmentFileError} where a line asks for something that isn't supported, or asks for it badly */
export function checkRequirement(place: Place, { name, text, target, options }: ParsedRequirement): void {
  const fail = (message: string, hint: string): never => {
    throw new EnvironmentFileError(place.file, place.line, message, hint)
  }
  for (const option of options) checkItsOption(option, fail)
  const who = name ?? withoutCredentials(text)
  if (target === undefined) return
  if (/^(?:git|hg|svn|bzr)\+/i.test(target)) {
    fail(`${who}: packages from version control are not supported yet`, 'Ask for a release: name==version.')
  }
  if (!/^[a-z][a-z0-9+.-]+:/i.test(target)) {
    fail(`${who}: packages from local paths are not supported yet`, 'Ask for a release: name==version.')
  }
  const url = URL.canParse(target) ? new URL(target) : fail(`${who}: ${target} is no URL`, 'Correct it.')
  if (url.protocol !== 'https:') {
    fail(`${who}: ${withoutCredentials(target)} is not an https: URL`, 'Give an https: URL, or ask for name==version.')
  }
  if (url.username || url.password) {
    fail(`${who}: its URL holds a user name or password`, 'Credentials belong into the settings of the service.')
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

function withoutCredentials(text: string): string {
  return text.replace(/\/\/[^/@\s]*@/g, '//')
}
