import { BundleRefused } from './bundle-refused.ts'

/** NAME_MAX and, with room for what it is put below, PATH_MAX of Linux. */
const MAX_COMPONENT = 255
const MAX_PATH = 4000

/** Code points that HFS+ drops when it compares names. The list is that of git's utf8.c, next_hfs_char. */
const HFS_IGNORED = /[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]/g

/** What NTFS takes for `.git`: its short name, blanks and dots at the end, streams. As in git's path.c, is_ntfs_dotgit. */
const NTFS_DOT_GIT = /^(?:\.git|git~1)[ .]*(?::.*)?$/i

/**
 * Checks a path of a git tree; trees made by hand may hold anything but NUL and slash in a name. Backslashes and control
 * characters are legal and stay, except where they spell `..` or `.git` for a system that reads a backslash as a slash.
 * @throws {BundleRefused}
 */
export function checkName(path: string): void {
  for (const component of path.split('/')) {
    const why = fault(component)
    if (why) throw new BundleRefused('name', path, why, 'Take this file out of the commit, or rename it.')
  }
  if (Buffer.byteLength(path) > MAX_PATH) {
    throw new BundleRefused('name', path, `is longer than ${MAX_PATH} bytes`, 'Shorten the path.')
  }
}

function fault(component: string): string | undefined {
  if (component === '' || component.includes('\0')) return 'has an empty part or a NUL'
  if (component.split('\\').some((part) => part === '..' || part === '.')) return 'has a part that is . or ..'
  if (component.split('\\').some(isDotGit)) return "has a part that some system takes for git's own folder .git"
  if (Buffer.byteLength(component) > MAX_COMPONENT) return `has a part of more than ${MAX_COMPONENT} bytes`
  return undefined
}

function isDotGit(component: string): boolean {
  return NTFS_DOT_GIT.test(component) || component.replace(HFS_IGNORED, '').toLowerCase() === '.git'
}
