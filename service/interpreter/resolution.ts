import type { TomlTable } from 'smol-toml'
import { FileError } from '../../common/environment-file-error.ts'
import type { CondaTarget } from './conda-target.ts'
import type { Artifact } from './lock.ts'
import type { Choice, EnvironmentFiles } from './spec.ts'

/**
 * sha256 hashes, in hex, that a user allows for each package by normalised name; by an empty one for any that is named
 * by its URL or path alone.
 */
export type AllowedHashes = Record<string, string[]>

/** A project of poetry, and what of it is asked for. */
export interface PoetryProject extends Choice {
  /** The texts of pyproject.toml and poetry.lock, by their paths. */
  files: EnvironmentFiles
  /** Where they lie: a folder of the code tree, empty for its root. */
  folder: string
  /** The URLs of the indexes that packages were locked from, but for poetry's own. */
  indexes: string[]
}

/** An environment that conda solves. */
export interface CondaRequest {
  /** Match specs. */
  specs: string[]
  /** Names or URLs, the one that comes first first. */
  channels: string[]
  target: CondaTarget
}

/** Exact builds that the channels have for another platform only. */
export interface Elsewhere {
  /** As the request has them. */
  specs: string[]
  /** The platform that has them. */
  subdir: string
  target: CondaTarget
  /** Builds of the first one that there are for the target. */
  others: string[]
}

/** What of a pyproject.toml is to be resolved. */
export interface ProjectWish {
  extras: string[]
  groups: string[]
  /** Whether it has dependencies of its own, beside its groups. */
  dependencies: boolean
  /** The project's name, where it is to be installed too: editable, from the folder of the file. */
  installed?: string
  /** What it says to uv. */
  uv: UvSettings
}

/** What a project says to uv of how its requirements are resolved. */
export interface UvSettings {
  /** Settings that are honoured, as uv's own configuration has them; its indexes are `index`. */
  settings: TomlTable
  /** The URLs of all indexes that it names. */
  indexes: string[]
  /** Indexes of packages that come from one of them alone, by normalised name. */
  pinned: Record<string, string>
}

/** A git repository that a package is built from. */
export interface Repository {
  url: string
  /** Branch, tag or commit; absent for the default branch. */
  ref?: string
  /** Where in it the project lies; absent for its root. */
  subdirectory?: string
}

/** A git repository that requirements files name. */
export interface GitSource extends Repository {
  /** The folder that the requirements files name instead, below which its files are put for the resolver. */
  at: string
}

/** What of a uv.lock is asked for. */
export interface UvChoice extends Choice {
  /** The name of the one project of its workspace that is meant; all of them where it is not set. */
  project?: string
  /** Whether the groups that are default ones count too. */
  defaultGroups: boolean
  /** Whether only the groups are meant, without what the projects themselves depend on. */
  groupsAlone: boolean
}

/** What requirements files name beside packages of an index. */
export interface LocalSources {
  /** Folders of the code tree that hold projects; the root is empty. */
  projects: { path: string; editable: boolean }[]
  /** Wheels and source distributions in the code tree. */
  files: string[]
  git: GitSource[]
}

/** Where packages are looked for, where requirements files say it. */
export interface IndexWish {
  /** In place of the configured one. */
  index?: string
  /** Asked before that one. A package is taken from the first that has its name, and from no other. */
  extra: string[]
  /** Folders of the code tree with wheels and source distributions. */
  findLinks: string[]
  /** No index at all. */
  none: boolean
}

/** Requirements files, or a pyproject.toml, to be resolved. */
export interface FilesRequest {
  files: EnvironmentFiles
  /** The file to begin with. */
  path: string
  /** Whether pre-releases count like releases. */
  prereleases: boolean
  /** Whether an older release with a wheel goes before a newer one without. */
  preferBinary?: boolean
  /** Where the file is a pyproject.toml. */
  project?: ProjectWish
  sources?: LocalSources
  indexes?: IndexWish
}

/**
 * What a format asks of a resolver: to make a lock from requirements files or from a pyproject.toml, to take one by
 * uv or poetry, or to take one that exists.
 */
export type ResolveRequest = {
  /** Where given, every package must be in it, and only files with these hashes are chosen. */
  hashes?: AllowedHashes
} & (
  | FilesRequest
  | ({
      /** The lock and the pyproject.toml files that it was made from. */
      files: EnvironmentFiles
      /** The path of the uv.lock among them. */
      uvLock: string
    } & UvChoice)
  | { poetry: PoetryProject }
  | { conda: CondaRequest }
  | ({
      /** pylock.toml */
      lock: string
      /** The folder of the code tree that it lies in, where its relative paths begin; empty for the root. */
      folder: string
    } & Choice)
)

/** A pylock.toml, and what of it the asked-for probe installs. */
export interface Resolved {
  text: string
  artifacts: Artifact[]
}

/**
 * Resolves for one probe, chosen beforehand.
 * @throws {ResolverRefused}
 */
export type Resolve = (request: ResolveRequest) => Promise<Resolved>

/**
 * Which step of resolving refused: the resolver itself (`uv`, `poetry`), the index (`index`), reading the lock (`lock`), choosing from it
 * (`select`), the user's hashes (`hash`), or what it is about: a requirement that is not well formed (`requirement`), a
 * lock that is older than what it was made from (`stale`), the target's Python (`python`), a package that has files for
 * other systems only (`platform`), groups and extras (`option`), a path that leads out of the code (`path`), a kind of
 * package that isn't supported (`kind`), a git repository (`git`).
 */
export type RefusedStep =
  | ('uv' | 'poetry' | 'conda' | 'channel' | 'index' | 'lock' | 'select' | 'hash')
  | ('requirement' | 'stale' | 'python' | 'platform' | 'option' | 'path' | 'kind')
  | 'git'

/** A resolver's answer that there is no lock; the message is its own explanation, not yet in terms of the user's files. */
export class ResolverRefused extends Error {
  override name = 'ResolverRefused'
  readonly step: RefusedStep
  /** The package at fault, where one is; of conda the line that asks for it, or the channel. */
  readonly package: string | undefined
  /** Where conda has what it lacks for the target. */
  readonly elsewhere: Elsewhere | undefined
  /** The fix, where it does not depend on the format. */
  readonly hint: string | undefined
  /** The address at fault, as the user's files have it. */
  readonly url: string | undefined
  /** Whether the same may go well a little later. */
  readonly retryable: boolean
  constructor(
    step: RefusedStep,
    message: string,
    name?: string,
    more: { elsewhere?: Elsewhere; hint?: string; url?: string; retryable?: boolean } = {},
  ) {
    super(message)
    this.step = step
    this.package = name
    this.elsewhere = more.elsewhere
    this.hint = more.hint
    this.url = more.url
    this.retryable = more.retryable === true
  }
}

/** Requirements that cannot be had together, or a file that is not well formed. */
export class ResolutionFailed extends FileError {
  override name = 'ResolutionFailed'
  /** Whether the same may go well a little later. */
  readonly retryable: boolean
  constructor(file: string, line: number | undefined, message: string, hint: string, retryable = false) {
    super(file, line, message, hint)
    this.retryable = retryable
  }
}
