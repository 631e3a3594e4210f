import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import type { Mirror } from '../../common/contract.ts'
import { DETECTED } from '../../common/detect.ts'
import { editablePaths } from './editable-paths.ts'
import type { LocalFolder } from './local-files.ts'
import type { LocalInterpreter, LocalPackage } from './local-interpreter.ts'
import { MirrorRefused } from './mirror-refused.ts'
import { Roots, realHome } from './roots.ts'

/** What is mirrored, and where it was on `sys.path`. */
export interface LocalRoots {
  /** The project first: what is put at `/workspace`. */
  roots: Required<LocalFolder>[]
  sysPath: Mirror['sys-path']
}

/** What the roots are made of. */
export interface RootsAsked {
  /** A real path. */
  project: string
  /** Real paths, without the interpreter's own. */
  sysPath: LocalInterpreter['sysPath']
  /** Files of the project that must not be ignored. */
  wanted: readonly string[]
  /** Likewise; and folders of projects in it, of which rules must not leave nothing. */
  named: readonly string[]
  /** Installed from this machine's disk; those without a version are only named. */
  local: readonly LocalPackage[]
  /** Folders, which are put on `sys.path` too, files, and patterns of files; relative to the project. */
  extraPaths: readonly string[]
}

/** As many roots as a request may have. */
const MOST_ROOTS = 100
/** Of too many, this many are named. */
const NAMED = 5

/**
 * The project that a working directory is in: the nearest folder with an environment file, up to the top of its git
 * checkout or the home folder; else the folder itself. Of a member of a uv workspace without a lock or requirements of its
 * own it is the workspace.
 */
export function projectOf(folder: string): string {
  const names = [...DETECTED]
  let member: string | undefined
  for (const at of foldersOf(folder)) {
    if (member !== undefined) {
      if (isLockedIn(at, member)) return at
      continue
    }
    const found = names.filter((name) => existsSync(join(at, name)))
    if (found.length > 1 || (found.length === 1 && found[0] !== 'pyproject.toml')) return at
    if (found.length === 1) member = at
  }
  return member ?? folder
}

/** A folder and those above it, up to the top of its git checkout or the home folder. */
function* foldersOf(folder: string): Generator<string> {
  const home = realHome()
  for (let at = folder; at !== home && at !== dirname(at); at = dirname(at)) {
    yield at
    if (existsSync(join(at, '.git'))) break
  }
}

/** Whether a folder has the lock of a uv workspace, and that a project as one of its members. */
function isLockedIn(workspace: string, project: string): boolean {
  const lock = join(workspace, 'uv.lock')
  const member = relative(workspace, project).replaceAll(sep, '/')
  const sources = ['editable', 'virtual'].map((kind) => `source = { ${kind} = "${member}" }`)
  return (
    existsSync(lock) &&
    readFileSync(lock, 'utf8')
      .split(/\r?\n/)
      .some((line) => sources.includes(line))
  )
}

/**
 * Which folders are mirrored. What lies in another needs no root of its own.
 * @param say is told of what can't be found on the other side
 * @throws {MirrorRefused} for extra paths that are not there, for folders that nobody means to mirror, and for too many
 */
export function localRoots(asked: RootsAsked, say: (line: string) => void): LocalRoots {
  const roots = new Roots(asked.project, say)
  for (const path of asked.wanted) roots.file(join(asked.project, path))
  for (const path of asked.named) roots.named(join(asked.project, path))
  for (const { path, behind } of asked.sysPath) roots.onSysPath(path, behind)
  for (const each of asked.local) {
    // Import hooks of installers are asked last.
    for (const path of editablePaths(each, say)) roots.onSysPath(path, true)
  }
  for (const extra of asked.extraPaths) roots.extra(extra)
  for (const { site, files = [], name, version } of asked.local) {
    if (version === '') {
      say(`${name} is left out: nothing in ${site} says which version it is, and from where. Install it again.`)
    } else if (files.length > 0) roots.installed(realpathSync(site), files)
    else say(`${name} was installed without a list of its files: what says that it is installed is not mirrored.`)
  }
  if (roots.all.length > MOST_ROOTS) {
    const first = roots.all.slice(0, NAMED).map(({ folder }) => folder)
    throw new MirrorRefused(
      `${roots.all.length} folders would be mirrored, and ${MOST_ROOTS} is the most: ${first.join(', ')} and so on`,
      'Take folders out of PYTHONPATH, .pth files and extra-paths, or name one there that has them in it.',
    )
  }
  return { roots: roots.all, sysPath: roots.sysPath }
}
