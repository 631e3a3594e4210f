import type { Digest } from '../blobs/blobs.ts'

/** Stands for the index that the resolver asks where none is configured. */
export const DEFAULT_INDEX = 'default'

/** What a package is installed from. */
export type ArtifactKind = 'wheel' | 'sdist' | 'archive' | 'vcs' | 'directory' | 'conda'

/** One package of a lock, chosen for one probe. */
export interface Artifact {
  /** Normalised (PEP 503). */
  name: string
  version: string
  kind: ArtifactKind
  /**
   * Where its bytes are; `https:` always, but for a configured index. The repository of a git dependency. Absent for a
   * path inside the code.
   */
  url?: string
  /** The index that offered it: its URL, or `DEFAULT_INDEX`; absent where it was named by its own URL. */
  index?: string
  /** Inside the code tree, relative, the root is empty; for local wheels, archives and directories. */
  path?: string
  /** A directory that is installed as a pointer into the code, not as a copy of it. */
  editable?: true
  /** Of a git dependency: 40 hex digits. */
  commit?: string
  /** Where in the directory, archive or git repository the project lies; absent for its root. */
  subdirectory?: string
  /** The file's name: wheels say their tags in it. The package's name where it is no file. */
  filename: string
  /**
   * Hex. Absent where the lock has none: files are hashed at their first fetch, what lies in the code tree and git
   * dependencies for each commit (`pinSources`).
   */
  sha256?: string
  /** Hex, where the lock says it: what the first fetch is checked by where there is no sha256. */
  md5?: string
  /** Bytes, where the lock says it. */
  size?: number
  /** The systems that all of its wheels are for (`macOS`), where this one is none of them, and the marker of those. */
  otherSystems?: { names: string; marker: string }
  /** What only conda packages have. */
  conda?: CondaPackage
}

/** What is said of a conda package besides what every artifact has. */
export interface CondaPackage {
  /** `h1a2b3c4_0_cpython` */
  build: string
  /** URL of its channel. */
  channel: string
  /** `linux-64`, `noarch` */
  subdir: string
  /** Where a Python has its packages, where it says so: `lib/python3.13t/site-packages`. */
  sitePackages?: string
}

/** What a lock of conda packages has besides its artifacts. */
export interface CondaPart {
  /** `linux-64` */
  subdir: string
  /** Variables that are set while the environment is active. */
  variables: Record<string, string>
  /** Lines of a requirements file: what pip installs on top. */
  pip: string[]
}

/** What a line of the user's files says of a package. */
export interface Requirement {
  /** Normalised (PEP 503). */
  name: string
  /** As it is written, without hashes and comments. */
  text: string
  file: string
  /** From 1. */
  line: number
  /** It only limits versions (`-c`), it does not ask for the package. */
  constraint?: true
}

/** The resolved, exact artifact list for one probe: a pylock.toml (PEP 751) and what of it this probe installs, or a list of conda packages. */
export interface Lock {
  /** sha256 of `text`. */
  digest: Digest
  /** pylock.toml */
  text: string
  /** In normalised-name order. */
  artifacts: Artifact[]
  /** The environment file that it was made from or is. */
  source: string
  /** What the user's files say of packages by name; empty where the file is a lock itself. */
  requirements: Requirement[]
  /** Names of requirements that the user's file left open to more than one version. */
  unpinned: string[]
  /** Milliseconds since 1970. */
  resolvedAt: number
  /** Only where it is a conda environment: then the text is an explicit list, not a pylock.toml. */
  conda?: CondaPart
}
