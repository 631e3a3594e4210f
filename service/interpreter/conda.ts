import { createHash } from 'node:crypto'
import type { CondaPlatform } from '../../common/conda-files.ts'
import type { CondaTarget } from './conda-target.ts'
import type { Artifact, CondaPart, Lock } from './lock.ts'
import type { Probe } from './probe.ts'
import { ResolutionFailed } from './resolution.ts'
import type { InterpreterSpec } from './spec.ts'

const SUBDIRS: Record<string, string> = { x86_64: 'linux-64', aarch64: 'linux-aarch64' }

/** What conda calls the platform of an engine: `linux/arm64`. Where it has none, files are looked for as on most machines. */
export function condaPlatform(engine: string): CondaPlatform {
  return engine.startsWith('linux/arm64') ? 'linux-aarch64' : 'linux-64'
}

/** The oldest kernel that runs the containers: packages ask for far older ones. */
const KERNEL = '5.4'
/** Every subdir of a channel that may be named in a file. */
export const KNOWN_SUBDIR =
  /^(?:noarch|linux-(?:64|32|aarch64|armv6l|armv7l|ppc64|ppc64le|riscv64|s390x)|osx-(?:64|arm64)|win-(?:64|32|arm64)|freebsd-64|emscripten-wasm32|wasi-wasm32|zos-z)$/

/**
 * What a base image is to conda. Pinned to the image, not to the machine that solves: same file and base, same lock.
 * Graphics cards are left out, as nobody knows here which node runs it.
 * @throws {ResolutionFailed} where conda has no packages for such a base
 */
export function condaTarget(file: string, { machine, libc }: Probe): CondaTarget {
  const subdir = SUBDIRS[machine]
  if (subdir === undefined || libc.name !== 'glibc') {
    throw new ResolutionFailed(
      file,
      undefined,
      `conda has no packages for ${machine} with ${libc.name} ${libc.version}`,
      'Name a base-image with glibc on x86_64 or aarch64, for example python:3.11-slim-bookworm.',
    )
  }
  return {
    subdir,
    virtual: {
      __unix: ['0', '0'],
      __linux: [KERNEL, '0'],
      __glibc: [libc.version, '0'],
      __archspec: ['1', machine],
    },
  }
}

/** Whether packages of a subdir can be installed on a target. */
export function fits(subdir: string, target: CondaTarget): boolean {
  return subdir === target.subdir || subdir === 'noarch'
}

/** A package as its URL names it. */
export interface CondaUrl {
  channel: string
  subdir: string
  filename: string
  name: string
  version: string
  build: string
}

/** Takes the URL of a conda package apart; undefined where it is none. */
export function parseCondaUrl(url: string): CondaUrl | undefined {
  const match = /^([a-z][a-z0-9+.-]*:\/\/.+)\/([^/]+)\/(([^/]+)-([^/-]+)-([^/-]+)\.(?:conda|tar\.bz2))$/i.exec(url)
  if (!match) return undefined
  const [, channel = '', subdir = '', filename = '', name = '', version = '', build = ''] = match
  if (!KNOWN_SUBDIR.test(subdir)) return undefined
  return { channel, subdir, filename: decodeURIComponent(filename), name: name.toLowerCase(), version, build }
}

/** Whether an address says who asks: by a user, a password, or a token in its path as anaconda.org has it. */
export function hasCredentials(url: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\/(?:[^/]*@|[^/]+\/t\/[^/]+\/)/i.test(url)
}

/** A package of a lock, from its URL and what else is known. */
export function condaArtifact(
  url: string,
  { channel, subdir, filename, name, version, build }: CondaUrl,
  known: { sha256?: string | undefined; md5?: string | undefined; size?: number | undefined } = {},
): Artifact {
  return {
    name,
    version,
    kind: 'conda',
    url,
    filename,
    ...(known.sha256 !== undefined && { sha256: known.sha256 }),
    ...(known.md5 !== undefined && { md5: known.md5 }),
    ...(known.size !== undefined && { size: known.size }),
    conda: { build, channel, subdir },
  }
}

/** A package as a line of an explicit list; one of pip as conda-lock has it there. */
function lineOf({ name, kind, url, commit, subdirectory, sha256, md5 }: Artifact): string {
  const hash = sha256 ?? md5
  if (kind === 'conda') return hash === undefined ? `${url}` : `${url}#${hash}`
  const parts = [
    ...(hash === undefined ? [] : [`${sha256 === undefined ? 'md5' : 'sha256'}=${hash}`]),
    ...(subdirectory === undefined ? [] : [`subdirectory=${subdirectory}`]),
  ]
  const address = commit === undefined ? url : `git+${url}@${commit}`
  return `# pip ${name} @ ${address}${parts.length > 0 ? `#${parts.join('&')}` : ''}`
}

/** A lock of conda packages. Its text is an explicit list, as `conda create --file` takes it. */
export function condaLock(
  source: string,
  artifacts: Artifact[],
  part: CondaPart,
  rest: Pick<Lock, 'requirements' | 'unpinned'> = { requirements: [], unpinned: [] },
): Lock {
  const sorted = artifacts.toSorted((a, b) => (a.name < b.name ? -1 : 1))
  const text = [
    `# platform: ${part.subdir}`,
    ...Object.entries(part.variables).map(([name, value]) => `# ${name}=${JSON.stringify(value)}`),
    '@EXPLICIT',
    ...sorted.map(lineOf),
    '',
  ].join('\n')
  return {
    digest: `sha256:${createHash('sha256').update(text).digest('hex')}`,
    text,
    artifacts: sorted,
    source,
    ...rest,
    resolvedAt: Date.now(),
    conda: part,
  }
}

/**
 * The environment's own Python.
 * @throws {ResolutionFailed} where there is none: nothing could be run in it
 */
export function pythonOf({ source, artifacts }: Pick<Lock, 'source' | 'artifacts'>): Artifact {
  const python = artifacts.find(({ name, kind }) => name === 'python' && kind === 'conda')
  if (python) return python
  throw new ResolutionFailed(source, undefined, 'the environment has no python', 'Add python to it.')
}

/**
 * Checks that the environment has a Python, and the one that was asked for.
 * @throws {ResolutionFailed}
 */
export function checkPython(
  { path, pythonVersion }: Pick<InterpreterSpec, 'path' | 'pythonVersion'>,
  artifacts: Artifact[],
) {
  const { version } = pythonOf({ source: path, artifacts })
  if (pythonVersion === undefined || version === pythonVersion || version.startsWith(`${pythonVersion}.`)) return
  throw new ResolutionFailed(
    path,
    undefined,
    `it has Python ${version}, and python-version asks for ${pythonVersion}`,
    'Take the input "python-version" out, or make the file with that Python.',
  )
}

/** What the environment's own Python would say of itself in a base. */
export function condaProbe(probe: Probe, { version, conda }: Artifact): Probe {
  const minor = version.split('.', 2).join('.')
  const tag = minor.replace('.', '')
  const free = /cp\d+t$/.test(conda?.build ?? '') ? 't' : ''
  return {
    ...probe,
    markers: {
      ...probe.markers,
      implementation_name: 'cpython',
      implementation_version: version,
      platform_python_implementation: 'CPython',
      python_full_version: version,
      python_version: minor,
    },
    tags: wheelTags(Number(minor.split('.')[1]), free, platformsOf(probe)),
    version,
    basePrefix: '/opt/env',
    executable: `/opt/env/bin/python${minor}`,
    cacheTag: `cpython-${tag}`,
  }
}

/** The platform tags of the base, best first: the environment's Python runs on the same C library. */
function platformsOf({ tags }: Probe): string[] {
  return [...new Set(tags.map((tag) => tag.split('-').slice(2).join('-')))].filter((platform) => platform !== 'any')
}

/** As `packaging.tags.sys_tags()` has them; see `builder/python/probe.py`. */
function wheelTags(minor: number, free: string, platforms: string[]): string[] {
  const own = `cp3${minor}`
  const each = (prefix: string) => platforms.map((platform) => `${prefix}-${platform}`)
  const older = Array.from({ length: minor }, (_, index) => minor - 1 - index)
  const generic = [`py3${minor}`, 'py3', ...older.map((each) => `py3${each}`)]
  return [
    ...each(`${own}-${own}${free}`),
    ...(free ? [] : each(`${own}-abi3`)),
    ...each(`${own}-none`),
    ...(free ? [] : older.filter((one) => one >= 2).flatMap((one) => each(`cp3${one}-abi3`))),
    ...generic.flatMap((one) => each(`${one}-none`)),
    `${own}-none-any`,
    ...generic.map((one) => `${one}-none-any`),
  ]
}
