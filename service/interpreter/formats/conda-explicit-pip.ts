import { EnvironmentFileError } from '../../../common/environment-file-error.ts'
import { lineOption } from '../../../common/requirement-lines.ts'
import { hasCredentials } from '../conda.ts'
import type { Artifact } from '../lock.ts'
import { pipArtifact } from './conda-lock-pip.ts'
import type { TextAt } from './conda-yaml.ts'
import type { Place } from './format.ts'
import { isExact, parseRequirement } from './requirement-lines.ts'

/** A package of pip in an explicit list: a comment for all but what can install it. */
export interface PipLine extends TextAt {
  /** Normalised. */
  name?: string
  /** Where its line alone says what is installed. */
  artifact?: Artifact
}

export const CREDENTIALS = 'its address holds a user name, password or token'
const HINT = 'Correct it, or make the list anew: conda-lock render --kind explicit'
const HEX = { sha256: /^[0-9a-f]{64}$/, md5: /^[0-9a-f]{32}$/ }

/**
 * Reads what is behind `# pip `: `NAME @ URL#sha256=HEX` as conda-lock renders it, or a line of a requirements file that
 * leaves no version open.
 * @throws {EnvironmentFileError} naming the line
 */
export function pipLine(file: string, { text, line }: TextAt): PipLine {
  const fail = (why: string, hint = HINT) => new EnvironmentFileError(file, line, `# pip ${why}`, hint)
  if (lineOption(text)) return { text, line }
  const { name, target, specifier } = parseRequirement(text)
  if (target !== undefined && hasCredentials(target)) {
    throw fail(`${name ?? 'URL'}: ${CREDENTIALS}`, 'Take it out; credentials come in a later version.')
  }
  if (name === undefined || (target === undefined && !isExact(specifier))) {
    throw fail(`${text}: this is neither NAME @ URL nor NAME==VERSION`)
  }
  const artifact = target === undefined ? undefined : located({ file, line }, name, target)
  return { text, line, name, ...(artifact && { artifact }) }
}

/** What a URL says by itself; undefined where its file or branch has to be looked at. */
function located(place: Place, name: string, target: string): Artifact | undefined {
  const fail = (why: string) => new EnvironmentFileError(place.file, place.line, `# pip ${name}: ${why}`, HINT)
  const [, fragment = ''] = target.split('#', 2)
  const { sha256, md5, ...rest } = Object.fromEntries(new URLSearchParams(fragment.toLowerCase()))
  const unknown = Object.keys(rest).find((key) => !['subdirectory', 'egg'].includes(key))
  if (unknown !== undefined) throw fail(`#${unknown} is neither a sha256, an md5 nor a subdirectory`)
  const artifact = pipArtifact(place, { name, url: target, sha256, md5 })
  // Of a git dependency conda-lock writes the commit there.
  const isCommit = artifact?.commit !== undefined && artifact.commit === sha256
  if (sha256 !== undefined && !HEX.sha256.test(sha256) && !isCommit) throw fail(`#sha256=${sha256} is no sha256`)
  if (md5 !== undefined && !HEX.md5.test(md5)) throw fail(`#md5=${md5} is no md5`)
  return artifact
}
