import { posix } from 'node:path'
import type { TarEntry } from '../../common/tar.ts'
import type { Probe } from '../interpreter/probe.ts'

/** Where the environment is, without the leading slash. */
export const ENVIRONMENT = 'opt/env'

/** Where a run's code is, without the leading slash. */
const WORKSPACE = 'workspace'

/** The time of everything that we make: 2000-01-01, in seconds since 1970. Zip readers refuse times before 1980. */
export const FIXED_TIME = Date.UTC(2000, 0, 1) / 1000

/**
 * What an image is to code: a virtual environment that hides what the base has, one that shows it, or just the base,
 * where a container image is the interpreter.
 */
export type EnvironmentKind = 'venv' | 'venv on image' | 'image'

/** A tar entry that comes from no fragment. */
export interface OwnEntry extends TarEntry {
  /** What a file holds; nothing where absent. */
  content?: string
}

/** A base whose Python can't carry an environment of ours. */
export class SkeletonRefused extends Error {
  override name = 'SkeletonRefused'
  readonly hint = `use a base image whose Python is outside of /${ENVIRONMENT}`
}

/** A folder as every layer lists it. */
export function folderEntry(path: string, mode = 0o755): OwnEntry {
  return { path, type: 'directory', mode, size: 0, mtime: FIXED_TIME }
}

/**
 * The virtual environment before anything is installed (as `venv` makes it, without activation scripts), parents
 * first. `pyvenv.cfg` makes Python take /opt/env as its prefix and hides the base's own site-packages, or shows them. Where
 * the base is the interpreter, there is just a place for the code.
 * @throws {SkeletonRefused} when the base's interpreter is inside /opt/env, which the skeleton would hide
 */
export function skeletonEntries(probe: Probe, kind: EnvironmentKind = 'venv'): OwnEntry[] {
  // The code may be put here for any uid, and one container serves one run.
  const workspace = folderEntry(WORKSPACE, 0o777)
  if (kind === 'image') return [workspace]
  if (probe.executable.startsWith(`/${ENVIRONMENT}/`)) {
    throw new SkeletonRefused(`the base image's Python is ${probe.executable}, where the environment is put`)
  }
  const python = `python${minorVersion(probe)}`
  // An environment on an environment knows only of what is below both, so the one between is named.
  const isVenv = probe.prefix !== probe.basePrefix
  const config = [
    `home = ${posix.dirname(probe.executable)}`,
    `include-system-site-packages = ${kind === 'venv on image' && !isVenv}`,
    `version = ${probe.version}`,
    '',
  ].join('\n')
  const folders = ['bin', 'include', 'lib', `lib/${python}`, `lib/${python}/site-packages`]
  return [
    folderEntry('opt'),
    folderEntry(ENVIRONMENT),
    // Hides what a base may have there (OCI image spec, layer.md, "Opaque Whiteout").
    fileEntry(`${ENVIRONMENT}/.wh..wh..opq`, ''),
    ...folders.map((folder) => folderEntry(`${ENVIRONMENT}/${folder}`)),
    linkEntry(`${ENVIRONMENT}/lib64`, 'lib'),
    fileEntry(`${ENVIRONMENT}/pyvenv.cfg`, config),
    ...['python', 'python3', python].map((name) => linkEntry(`${ENVIRONMENT}/bin/${name}`, probe.executable)),
    ...(kind === 'venv on image' && isVenv ? [siteEntry(python, probe)] : []),
    workspace,
  ]
}

/**
 * A conda environment before anything is installed: a folder that conda takes for one. Its Python comes from a package.
 */
export function condaSkeleton(): OwnEntry[] {
  return [
    folderEntry('opt'),
    folderEntry(ENVIRONMENT),
    fileEntry(`${ENVIRONMENT}/.wh..wh..opq`, ''),
    ...['bin', 'conda-meta', 'lib'].map((folder) => folderEntry(`${ENVIRONMENT}/${folder}`)),
    fileEntry(`${ENVIRONMENT}/conda-meta/history`, ''),
    folderEntry(WORKSPACE, 0o777),
  ]
}

/** Makes Python show the packages of the image's own virtual environment behind ours. */
function siteEntry(python: string, { sitePackages }: Probe): OwnEntry {
  const lines = sitePackages.map((folder) => `import site; site.addsitedir(${JSON.stringify(folder)})\n`)
  return fileEntry(`${ENVIRONMENT}/lib/${python}/site-packages/_meadow_image.pth`, lines.join(''))
}

/** `3.11` of `3.11.2` */
function minorVersion(probe: Probe): string {
  return probe.version.split('.', 2).join('.')
}

function linkEntry(path: string, link: string): OwnEntry {
  return { path, type: 'symlink', mode: 0o777, size: 0, link, mtime: FIXED_TIME }
}

function fileEntry(path: string, content: string): OwnEntry {
  return { path, type: 'file', mode: 0o644, size: Buffer.byteLength(content), mtime: FIXED_TIME, content }
}
