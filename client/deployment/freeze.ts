import { anonymousUrl } from './conda-environment.ts'
import type { LocalInterpreter, LocalPackage } from './local-interpreter.ts'

/** What a local Python has, by the way in which it gets to the other side. */
export interface Frozen {
  /** Lines of a requirements file, exact versions. */
  requirements: string[]
  /** Those of the system's own installer, which no index has: `apt 2.6`. */
  system: string[]
  /** Packages that no index has, as they came from this machine's disk: their own files are mirrored. */
  local: LocalPackage[]
  /** Those of which nothing says what they are: they can only be named. */
  unknown: LocalPackage[]
}

/**
 * The packages of a local Python as `pip freeze` gives them, with direct addresses.
 * @param which of them are asked for
 */
export function freeze({ platform, packages }: LocalInterpreter, which: (each: LocalPackage) => boolean): Frozen {
  const requirements: string[] = []
  const local: LocalPackage[] = []
  const system: string[] = []
  const unknown: LocalPackage[] = []
  for (const each of packages) {
    // The environment has a pip of its own.
    if (!which(each) || each.name.toLowerCase() === 'pip') continue
    if (isSystems(each)) system.push(`${each.name} ${each.version}`.trim())
    else if (each.version === '') unknown.push(each)
    else if (each.url?.startsWith('file:')) local.push(each)
    else requirements.push(`${lineOf(each)}${markerOf(each, platform)}`)
  }
  return { requirements, system, local, unknown }
}

const SYSTEM_INSTALLERS = ['debian', 'rpm', 'dnf', 'apk', 'pacman', 'portage']

/** Debian and what is made of it have a folder for their own packages, most of them without a note of who installed them. */
function isSystems({ installer, site }: LocalPackage): boolean {
  return SYSTEM_INSTALLERS.includes(installer.toLowerCase()) || site === '/usr/lib/python3/dist-packages'
}

function lineOf({ name, version, url, vcs, commit, sha256, subdirectory }: LocalPackage): string {
  if (url === undefined) return `${name}==${version}`
  const address = anonymousUrl(url)
  const part = subdirectory ? [`subdirectory=${subdirectory}`] : []
  if (vcs !== undefined) return `${name} @ ${vcs}+${address}@${commit}${fragment(part)}`
  return `${name} @ ${address}${fragment([...(sha256 ? [`sha256=${sha256}`] : []), ...part])}`
}

function fragment(parts: readonly string[]): string {
  return parts.length > 0 ? `#${parts.join('&')}` : ''
}

/** From another system, what is there only for that system stays away. */
function markerOf({ markers }: LocalPackage, platform: string): string {
  if (platform === 'linux' || !markers?.length) return ''
  return ` ; ${markers.map((marker) => `(${marker})`).join(' or ')}`
}
