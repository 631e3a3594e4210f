import type { CondaTarget } from '../conda-target.ts'
import { ResolutionFailed } from '../resolution.ts'

/** More packages than this are counted, not named. */
const NAMED = 5

/** Packages that can't be on a platform. */
export interface Foreign {
  names: string[]
  /** What there is in place of the first one. */
  others?: string[]
}

/**
 * The refusal of an environment that was made on another platform.
 * @param place what names the packages; its line where that is seen
 * @param from the platform that it is for: `osx-arm64`
 * @param wayOut how to get an environment that can be installed
 */
export function wrongPlatform(
  { file, line }: { file: string; line?: number | undefined },
  from: string,
  target: CondaTarget,
  { names, others = [] }: Foreign,
  wayOut: string,
): ResolutionFailed {
  const more = names.length > NAMED ? ` and ${names.length - NAMED} more` : ''
  const there = `${names.slice(0, NAMED).join(', ')}${more}`
  const instead = others.length > 0 ? ` (of ${names[0]} there is ${others.slice(0, NAMED).join(', ')})` : ''
  return new ResolutionFailed(
    file,
    line,
    `it was made for ${from} and can't be installed on ${target.subdir}, where these can't be had: ${there}${instead}`,
    wayOut,
  )
}
