import { execFileSync } from 'node:child_process'

const MOST_OUTPUT = 512 * 1024 * 1024
const TIMEOUT_MS = 60_000

/**
 * The files that git tracks in a folder of a checkout, as paths inside it, and all folders that they are in.
 * @param say is told where git can't be asked
 */
export function trackedIn(folder: string, say: (line: string) => void): Set<string> {
  const tracked = new Set<string>()
  for (const path of filesOf(folder, say)) {
    for (let at = path; at !== '' && !tracked.has(at); at = at.slice(0, Math.max(0, at.lastIndexOf('/')))) {
      tracked.add(at)
    }
  }
  return tracked
}

function filesOf(folder: string, say: (line: string) => void): string[] {
  try {
    const listing = execFileSync('git', ['ls-files', '-z'], {
      ...{ cwd: folder, maxBuffer: MOST_OUTPUT, stdio: ['ignore', 'pipe', 'pipe'], windowsHide: true },
      timeout: TIMEOUT_MS,
      env: { ...process.env, LC_ALL: 'C', GIT_OPTIONAL_LOCKS: '0' },
    })
    return listing.toString().split('\0').filter(Boolean)
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: Buffer }
    const why = stderr?.toString().trim().split('\n')[0] || message
    say(`Git can't be asked what it tracks in ${folder} (${why}): what .gitignore names is left out, tracked or not.`)
    return []
  }
}
