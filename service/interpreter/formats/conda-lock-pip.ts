import { normalizeName } from '../../../common/package-name.ts'
import type { Artifact } from '../lock.ts'

/** A package of pip, as conda-lock writes it. */
interface LockedByPip {
  name: string
  /** Where it is known beside its file's name. */
  version?: string
  url: string
  /** Hex; of a git dependency, which has none, conda-lock writes the commit here. */
  sha256?: string | undefined
}

/** A wheel or source distribution by its URL, or a git repository at a commit; undefined where it is neither. */
export function pipArtifact({ name, version, url, sha256 }: LockedByPip): Artifact | undefined {
  const named = { name: normalizeName(name), url: url.replace(/#.*$/, '') }
  const git = /^git\+([a-z]+:\/\/[^@]+)@([0-9a-f]{40})$/.exec(named.url)
  if (git) {
    const [, repository = '', commit = ''] = git
    return { ...named, version: version ?? '0', kind: 'vcs', url: repository, commit, filename: named.name }
  }
  if (!/^https?:/.test(url) || !URL.canParse(url)) return undefined
  const filename = decodeURIComponent(new URL(url).pathname.split('/').at(-1) ?? '')
  const [, stated = ''] =
    /^[^-]+-([^-]+)-.*\.whl$/.exec(filename) ?? /^.+-([^-]+)\.(?:tar\.\w+|zip|tgz)$/.exec(filename) ?? []
  if (stated === '') return undefined
  const kind = filename.endsWith('.whl') ? 'wheel' : 'sdist'
  return { ...named, version: version ?? stated, kind, filename, ...(sha256?.length === 64 && { sha256 }) }
}
