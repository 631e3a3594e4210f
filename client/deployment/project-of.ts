import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import { DETECTED } from '../../common/detect.ts'
import { realHome } from './roots.ts'

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
