import { normalizeName } from '../../../common/package-name.ts'
import type { Artifact } from '../lock.ts'
import type { Place } from './format.ts'
import { gitSource } from './git-sources.ts'

/** A package of pip, as conda-lock writes it. */
interface LockedByPip {
  name: string
  /** Where it is known beside its file's name. */
  version?: string
  url: string
  /** Hex; of a git dependency, which has none, conda-lock writes the commit here. */
  sha256?: string | undefined
  md5?: string | undefined
}

/**
 * A wheel or source distribution by its URL, or a git repository at a commit; undefined where it is neither.
 * @throws {EnvironmentFileError} for a repository that can't be reached without credentials
 */
export function pipArtifact(place: Place, { name, version, url, sha256, md5 }: LockedByPip): Artifact | undefined {
  const [address = '', fragment = ''] = url.split('#', 2)
  const git = gitSource(place, url)
  const subdirectory = git ? git.subdirectory : new URLSearchParams(fragment).get('subdirectory')
  const named = { name: normalizeName(name), ...(subdirectory && { subdirectory }) }
  if (git) {
    const { url, ref = '' } = git
    if (!/^[0-9a-f]{40}$/.test(ref)) return undefined
    return { ...named, version: version ?? '0', kind: 'vcs', url, commit: ref, filename: named.name }
  }
  if (!/^https?:/.test(address) || !URL.canParse(address)) return undefined
  const filename = decodeURIComponent(new URL(address).pathname.split('/').at(-1) ?? '')
  const [, wheel] = /^[^-]+-([^-]+)-.*\.whl$/.exec(filename) ?? []
  const [archive, sdist = '0'] = /^(?:.+-([^-]+)|.+)\.(?:tar\.\w+|zip|tgz)$/.exec(filename) ?? []
  if (wheel === undefined && archive === undefined) return undefined
  const hash = sha256 ? { sha256 } : md5 ? { md5 } : {}
  const kind = wheel === undefined ? 'sdist' : 'wheel'
  return { ...named, version: version ?? wheel ?? sdist, kind, url: address, filename, ...hash }
}
