/** What these variables are wherever packages are installed. https://packaging.python.org/en/latest/specifications/dependency-specifiers/ */
const LINUX: Record<string, string> = { sys_platform: 'linux', platform_system: 'Linux', os_name: 'posix' }
/** A test that is all of a marker. */
const TEST = /^\s*(?:(\w+)\s*([=!]=)\s*(["'])([^"']*)\3|(["'])([^"']*)\5\s*([=!]=)\s*(\w+))\s*$/

/**
 * Whether a marker alone says that something is for another system, so that nobody needs to have it here. Only the
 * plainest markers are judged; the resolver judges them all.
 */
export function isForOtherSystem(marker: string): boolean {
  const [, left, operator, , right, , first, reversed, last] = TEST.exec(marker) ?? []
  const here = LINUX[left ?? last ?? '']
  if (here === undefined) return false
  return ((right ?? first) === here) !== ((operator ?? reversed) === '==')
}

/** The marker behind a requirement that names a URL or a path, as pip reads it; empty where there is none. */
export function markerBehind(text: string): string {
  return /(?:\s;|;\s)(.*)$/.exec(text)?.[1] ?? ''
}
