import { posix } from 'node:path'
import { EnvironmentFileError } from '../../../common/environment-file-error.ts'
import { withoutCredentials } from '../../../common/without-credentials.ts'
import type { Place } from './format.ts'

/** Something in the code tree that a line asks for. */
export interface LocalSource {
  kind: 'directory' | 'file'
  /** Inside the code tree; the root is empty. */
  path: string
}

/** What the paths of lines lead through. */
export interface TreePaths {
  /** Paths of files in the code tree. */
  there: ReadonlySet<string>
  /** Where relative paths begin: the root is empty. */
  folder: string
}

/** What makes a folder a project. */
const DESCRIPTIONS = ['pyproject.toml', 'setup.py', 'setup.cfg']

/** Whether the target of a requirement is a path, and no URL. */
export function isPath(target: string): boolean {
  return /^file:/i.test(target) || !/^[a-z][a-z0-9+.-]*:/i.test(target)
}

/**
 * Where a path of a line leads: read from the folder that pip is run in, as pip does it there, else from the file that
 * it is written in.
 * @throws {EnvironmentFileError} for a path that is not inside, or where nothing is that could be installed
 */
export function localSource(place: Place, written: string, { there, folder }: TreePaths): LocalSource {
  for (const path of candidates(place, written, folder)) {
    if (there.has(path)) return { kind: 'file', path }
    if (DESCRIPTIONS.some((name) => there.has(posix.join(path, name)))) {
      return { kind: 'directory', path: path === '.' ? '' : path }
    }
  }
  throw new EnvironmentFileError(
    place.file,
    place.line,
    `${written}: there is no such file in the repository, and no folder with a pyproject.toml or setup.py`,
    `Commit it, or correct the path: it is read from ${folder || 'the root of the repository'}, else from the folder of this file.`,
  )
}

/**
 * The folder that a `--find-links` names, likewise.
 * @throws {EnvironmentFileError}
 */
export function linksFolder(place: Place, written: string, { there, folder }: TreePaths): string {
  if (!isPath(written)) {
    throw new EnvironmentFileError(
      place.file,
      place.line,
      `--find-links ${withoutCredentials(written)}: it is a URL, and only folders of the repository are looked through`,
      'Name the index that has these files with --extra-index-url, or commit the files; or ask for name @ URL of one.',
    )
  }
  for (const path of candidates(place, written, folder)) {
    for (const each of there) if (posix.dirname(each) === path) return path
  }
  throw new EnvironmentFileError(
    place.file,
    place.line,
    `--find-links ${written}: there is no such folder with files in the repository`,
    'Commit the folder, or put the files on an index.',
  )
}

function candidates(place: Place, written: string, folder: string): string[] {
  const fail = (why: string, hint: string) => new EnvironmentFileError(place.file, place.line, why, hint)
  const inRoot = written.replace(/^(?:file:\/\/)?\/?\$\{PROJECT_ROOT\}\/?/, './')
  const path = /^file:/i.test(inRoot) ? decodeURIComponent(inRoot.replace(/^file:(?:\/\/(?=\/))?/i, '')) : inRoot
  if (path.includes('\\')) throw fail(`${written} has a backslash`, 'Write / between the parts of a path.')
  const found = [folder, posix.dirname(place.file)].map((each) => posix.join(each, path))
  const inside = found
    .map((each) => each.replace(/\/+$/, '') || '.')
    .filter((each) => !/^(?:\/|~|\.\.(?:\/|$))/.test(each))
  if (/^[/~]/.test(path) || inside.length === 0) {
    throw fail(`${written} leads outside the repository`, 'Name only files of the repository, by relative paths.')
  }
  return inside
}
