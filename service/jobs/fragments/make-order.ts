import type { Blobs } from '../../blobs/blobs.ts'
import type { Builder, Compiling } from '../../builder/builder.ts'
import type { Database } from '../../database/database.ts'
import type { Fetcher } from '../../fetch/fetcher.ts'
import type { BaseImage } from '../../image/base.ts'
import type { PlannedArtifact } from '../../image/fragment.ts'
import { builtKey, condaKey, filesKey } from '../../image/fragment-keys.ts'
import { keyOf } from '../../image/keys.ts'
import type { Transcoder } from '../../image/transcode-pool.ts'
import type { Artifact } from '../../interpreter/lock.ts'
import type { Probe } from '../../interpreter/probe.ts'
import type { Domain } from '../../policy/domain.ts'
import type { GitDependencies } from '../../source/git-dependencies.ts'
import type { FirstFetches } from '../environment/first-fetches.ts'
import type { WheelsHere } from '../environment/image-order.ts'
import { type ProjectCode, projectFolder } from '../environment/pin-sources.ts'
import type { KeyedQueue } from '../worker/keyed-queue.ts'

/** What making fragments needs. */
export interface MakeParts {
  database: Database
  blobs: Blobs
  builder: Builder
  fetcher: Fetcher
  /** Repositories that packages are built from. */
  gitDependencies: GitDependencies
  transcoder: Transcoder
  /** Where wheels are put while they are in use. */
  folder: string
  /** Two builds never make the same fragment at once. */
  queue: KeyedQueue
}

/** What is to be made, for whom. */
export interface MakeOrder {
  artifacts: Artifact[]
  base: BaseImage
  /** What compiles, where `compiler` does not: the base without additional software, or the base. */
  compileBase: BaseImage
  probe: Probe
  domain: Domain
  /** What artifacts with a path lie in. */
  code: ProjectCode | undefined
  local: WheelsHere | undefined
  /** Files that making the lock had to fetch. */
  fetched?: FirstFetches | undefined
  /** Whether files of this artifact may serve everybody: it came without credentials from a public index. */
  isPublic: (artifact: Artifact) => boolean
  /** Whether an operator vouches for that, so that its byte code may serve everybody. */
  operatorBase: boolean
  /** Of a conda environment: its Python, and the platform that its packages are for. */
  conda?: { python: Artifact; subdir: string }
  /** What compiles and builds; the base where absent. */
  compiler?: Compiling
  /** No byte code is made; it is what comes next. */
  filesOnly?: true
  signal: AbortSignal
  report: (line: string) => void
  progress: (done: number) => void
  /** Told of each artifact as soon as its files are there, before its byte code, and whether they had to be made. */
  onFiles?: (artifact: PlannedArtifact, fresh: boolean) => void
  /** Told of each artifact that has its byte code, if it is to have any. */
  onWhole?: (artifact: PlannedArtifact) => void
}

/** Fragments of every artifact, and the account of them in bytes. */
export interface Made {
  artifacts: PlannedArtifact[]
  /** Names of artifacts of which something had to be made. */
  fresh: Set<string>
  /** Compressed bytes of fragments that were known. */
  bytesReused: number
  /** Bytes that were fetched. */
  bytesTransferred: number
}

/** Whether an artifact's files may serve everybody. What is built from source may differ from machine to machine. */
export function isGlobal(artifact: Artifact, { local, isPublic }: MakeOrder): boolean {
  return artifact.kind === 'wheel' && (local?.has(artifact.filename) || isPublic(artifact))
}

/** What an artifact's files are known by. What is built from source depends on the base that builds it. */
export function identityOf(artifact: Artifact, { base, probe, conda, compiler }: MakeOrder): string {
  if (artifact.sha256 === undefined)
    throw new Error(`${artifact.name}: its hash must be known before its fragments are made`)
  if (artifact.conda) {
    const python = artifact.conda.subdir === 'noarch' ? sitePackages(conda?.python) : ''
    return condaKey(artifact.sha256, artifact.url ?? '', python)
  }
  const python = minorVersion(probe)
  return artifact.filename.endsWith('.whl')
    ? filesKey(artifact.sha256, python)
    : builtKey(sourceOf(artifact, artifact.sha256), python, compiler?.id ?? base.digest)
}

/** What is built: the bytes of an sdist alone, or besides them where the project lies and which version it is given. */
function sourceOf(artifact: Artifact, sha256: string): string {
  const { kind, name, version, subdirectory = '' } = artifact
  if (kind === 'vcs') return keyOf(sha256, name, version)
  if (kind === 'directory') return keyOf(sha256, name, projectFolder(artifact))
  return subdirectory === '' ? sha256 : keyOf(sha256, subdirectory)
}

/** Where a Python of conda's has its packages. */
function sitePackages(python: Artifact | undefined): string {
  return python?.conda?.sitePackages ?? `lib/python${python?.version.split('.', 2).join('.')}/site-packages`
}

/** `3.11` of `3.11.2` */
export function minorVersion(probe: Probe): string {
  return probe.version.split('.', 2).join('.')
}
