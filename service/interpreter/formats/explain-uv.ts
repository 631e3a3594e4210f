import { normalizeName } from '../../../common/package-name.ts'
import type { Requirement } from '../lock.ts'
import { ResolutionFailed, type ResolverRefused } from '../resolution.ts'
import type { InterpreterSpec } from '../spec.ts'
import { parseRequirement } from './requirement-lines.ts'

/** How uv begins before the log of a build, which may hold any words. */
const BUILD_FAILED = /^Failed to (?:download and )?build (?:`([^`]+)`)?/

/** What uv says, and what to do about it. The first that fits. */
const HINTS: [pattern: RegExp, hint: string][] = [
  [
    BUILD_FAILED,
    'Its own build failed: ask for a version that has a wheel, or a base-image that has what its build needs.',
  ],
  [
    /Couldn't parse|Expected `|Unexpected|Invalid/,
    'Correct this line: a requirement looks like name==1.2.3 or name>=1,<2.',
  ],
  [
    /extra not found|The dependency group .* was not found/,
    'Name a group or extra that pyproject.toml has, or take the input out.',
  ],
  [
    /was found on .*, but not at the requested version/,
    'A package comes from the first index that has its name, the extra ones before the others: ask for a version that this one has. Or write a pyproject.toml that names the extra index with "explicit = true" in [[tool.uv.index]], and in [tool.uv.sources] what comes from it.',
  ],
  [/was not found in/, 'Check the spelling of the name, and that the index of the service has the package.'],
  [
    /there is no version of|only the following versions/,
    'Ask for a version that was released; look it up on the index.',
  ],
  [
    /Requires-Python|requires Python|(?:current|requested) Python version/i,
    'Ask for another version of it, or for another python-version.',
  ],
  [
    /no usable wheels|no wheels with a matching/,
    'Ask for a version that has a wheel for this platform, or another python-version.',
  ],
  [/depends on|unsatisfiable/, 'Loosen one of these requirements, or leave the version open.'],
  [
    /Failed to fetch[\s\S]*\b40[34]\b/,
    'The index names this file and does not give it: ask for another version, or have the index put right.',
  ],
  [
    /connect|dns|timed out|Request failed|certificate/i,
    'The index did not answer: try again, and check MEADOW_INDEX_URL and MEADOW_CA_BUNDLE.',
  ],
]

const IMAGE_STAYS = 'Packages of the base image stay in the version that it has.'

/** A line that asks for something. */
interface Asked extends Requirement {
  /** Where it names something of the code, from the root. */
  local?: { path: string }
  /** The repository that it names. */
  git?: string
}

/** The resolver's own explanation in full, with the line of the user's files that it is about. */
export function explainUv(
  { message: said, hint: stated }: Pick<ResolverRefused, 'message' | 'hint'>,
  spec: InterpreterSpec,
  requirements: Asked[],
): ResolutionFailed {
  const message = said.trim().replace(/^error: /, '')
  const known = HINTS.find(([pattern]) => pattern.test(message))?.[1] ?? 'Correct what the resolver names.'
  const ofImage = spec.imageDigest !== undefined && /unsatisfiable/.test(message) ? ` ${IMAGE_STAYS}` : ''
  const hint = stated ?? otherSystem(message, requirements) ?? known + ofImage
  const place = BUILD_FAILED.test(message)
    ? ofBuild(message, requirements)
    : (statedPlace(message, spec) ?? concerned(message, requirements))
  return new ResolutionFailed(place?.file ?? spec.path, place?.line, message, hint)
}

/** What a platform tag begins with, and the marker of its system. */
const SYSTEMS: [tag: RegExp, name: string, platform: string][] = [
  [/^win/, 'Windows', 'win32'],
  [/^macosx/, 'macOS', 'darwin'],
]

/** The way out for a package that has wheels for other systems only: a file that was frozen on one of them has such. */
function otherSystem(message: string, requirements: Requirement[]): string | undefined {
  for (const [, name = '', list = ''] of message.matchAll(
    /Wheels are available for `([^`]+)` \(v[^)]*\) on the following platforms?: ((?:`[^`]+`(?:, )?)+)/g,
  )) {
    const tags = [...list.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? '')
    const systems = SYSTEMS.filter(([pattern]) => tags.some((tag) => pattern.test(tag)))
    if (!tags.every((tag) => SYSTEMS.some(([pattern]) => pattern.test(tag)))) continue
    const row = requirements.find((each) => each.name === normalizeName(name) && !each.text.includes(';'))
    const marker = systems.map(([, , platform]) => `sys_platform == "${platform}"`).join(' or ')
    const where = systems.map(([, system]) => system).join(' and ')
    return `${name} has wheels for ${where} only. A marker excludes it here: ${row?.text ?? name} ; ${marker}`
  }
  return undefined
}

/** "`requirements.txt` at position 12" counts bytes; "requirements.txt:2:3" lines. */
function statedPlace(message: string, { files }: InterpreterSpec): { file: string; line: number } | undefined {
  const position = /`([^`]+)` at position (\d+)/.exec(message)
  const text = files[position?.[1] ?? '']
  if (position?.[1] && text !== undefined) {
    const before = Buffer.from(text).subarray(0, Number(position[2])).toString()
    return { file: position[1], line: before.split('\n').length }
  }
  const [, file, line] = /(\S+):(\d+):\d+$/m.exec(message) ?? []
  return file !== undefined && file in files ? { file, line: Number(line) } : undefined
}

/** The line that asks for what could not be built, or for what needs it in its turn. */
function ofBuild(message: string, requirements: Asked[]): Asked | undefined {
  // `old==1.0`, `old @ ./old`, `./old`; none where it may be one of several.
  const what = BUILD_FAILED.exec(message)?.[1] ?? ''
  const { name, target = '' } = parseRequirement(what)
  const why = /^hint: .* was included because (.*)$/m.exec(message)?.[1] ?? ''
  const needing = [...why.matchAll(/`([^`]+)`/g)].map((match) => normalizeName(match[1] ?? ''))
  const path = target.replace(/^\.\/?/, '')
  return (
    requirements.find((each) => name !== undefined && each.name === name) ??
    requirements.find(({ local, git }) =>
      git === undefined ? target !== '' && local?.path === path : what.includes(git),
    ) ??
    requirements.find((each) => needing.includes(each.name))
  )
}

/** The first line whose package the message names as the user's own wish, else names at all, else names a file of. */
function concerned(message: string, requirements: Requirement[]): Requirement | undefined {
  const wished = [...message.matchAll(/you require ([A-Za-z0-9][A-Za-z0-9._-]*)/g)].map((match) => match[1])
  const named = [...message.matchAll(/[A-Za-z0-9][A-Za-z0-9._-]*/g)].map((match) => match[0])
  const files = [...message.matchAll(/\/([A-Za-z0-9][A-Za-z0-9._]*)-\d[^/\s]*\.(?:whl|zip|tar\.\w+)/g)].map(
    (match) => match[1],
  )
  for (const names of [wished, named, files]) {
    const wanted = new Set(names.map((name) => normalizeName(name ?? '')))
    const found = requirements.find(({ name }) => wanted.has(name))
    if (found) return found
  }
  return undefined
}
