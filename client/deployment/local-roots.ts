import { realpathSync } from 'node:fs'
import { join } from 'node:path'
import type { Mirror } from '../../common/contract.ts'
import { editablePaths } from './editable-paths.ts'
import type { LocalFolder } from './local-files.ts'
import type { LocalInterpreter, LocalPackage } from './local-interpreter.ts'
import { MirrorRefused } from './mirror-refused.ts'
import { Roots } from './roots.ts'

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
  /** Installed from this machine's disk. */
  local: readonly LocalPackage[]
  /** Folders, which are put on `sys.path` too, files, and patterns of files; relative to the project. */
  extraPaths: readonly string[]
}

/** As many roots as a request may have. */
const MOST_ROOTS = 100
/** Of too many, this many are named. */
const NAMED = 5

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
  const others = roots.sysPath.length
  for (const { site, files = [], name } of asked.local) {
    if (files.length > 0) roots.installed(realpathSync(site), files)
    else say(`${name} was installed without a list of its files: what says that it is installed is not mirrored.`)
  }
  if (roots.all.length > MOST_ROOTS) {
    const first = roots.all.slice(0, NAMED).map(({ folder }) => folder)
    throw new MirrorRefused(
      `${roots.all.length} folders would be mirrored, and ${MOST_ROOTS} is the most: ${first.join(', ')} and so on`,
      'Take folders out of PYTHONPATH, .pth files and extra-paths, or name one there that has them in it.',
    )
  }
  // Site-packages itself comes before what its .pth files and hooks add.
  const installed = roots.sysPath.splice(others)
  const [behind = [], front = []] = [true, undefined].map((is) => roots.sysPath.filter((each) => each.behind === is))
  return { roots: roots.all, sysPath: [...front, ...installed, ...behind] }
}
