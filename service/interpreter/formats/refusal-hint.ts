import type { ResolverRefused } from '../resolution.ts'

/** The fix for what was chosen and can't be used, where that is the same in every file that asks for packages. */
export function refusalHint({ step, message, hint }: ResolverRefused): string | undefined {
  if (hint !== undefined) return hint
  if (step === 'requirement') return 'Correct this line: a requirement looks like name==1.2.3 or name>=1,<2.'
  if (step === 'path') return 'Name only what lies in the repository, by paths relative to this file.'
  if (step === 'kind')
    return 'Ask for a release from an index, for a wheel or source distribution by its URL, or for git.'
  if (step === 'hash' && message.startsWith('it has no sha256')) {
    return 'Take it from an index that gives sha256 hashes, or commit its wheel.'
  }
  return undefined
}
