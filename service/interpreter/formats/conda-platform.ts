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
 * @param line where that is seen, where it is
 * @param from the platform that it is for: `osx-arm64`
 */
export function wrongPlatform(
  file: string,
  line: number | undefined,
  from: string,
  target: CondaTarget,
  { names, others = [] }: Foreign,
): ResolutionFailed {
  const more = names.length > NAMED ? ` and ${names.length - NAMED} more` : ''
  const there = `${names.slice(0, NAMED).join(', ')}${more}`
  const instead = others.length > 0 ? ` (of ${names[0]} there is ${others.slice(0, NAMED).join(', ')})` : ''
  return new ResolutionFailed(
    file,
    line,
    `it was made for ${from} and can't be installed on ${target.subdir}, where these can't be had: ${there}${instead}`,
    wayOut(file, target),
  )
}

/** How to get an environment that can be installed. */
function wayOut(file: string, { subdir }: CondaTarget): string {
  const slash = file.lastIndexOf('/') + 1
  const name = `${file.slice(0, slash)}environment-linux.yml`
  return [
    'Name only the packages that you ask for yourself ("conda env export --from-history"), without builds;',
    `or make the file on ${subdir} and commit it as ${name}: it is taken wherever it lies beside environment.yml.`,
  ].join(' ')
}
