import { runCommand } from './command.ts'

const WHO = { NAME: 'Sample', EMAIL: 'sample@example.org' }
const PEOPLE = Object.entries(WHO).flatMap(([key, value]) => [
  [`GIT_AUTHOR_${key}`, value],
  [`GIT_COMMITTER_${key}`, value],
])

/**
 * git in a repository that was made for a sample: with an author of its own, whatever this machine's configuration says.
 * @returns its output, without the last newline
 * @throws {CommandFailed} with what git said
 */
export async function sampleGit(folder: string, ...args: string[]): Promise<string> {
  const nothingElse = { GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1' }
  const env = { PATH: process.env.PATH, ...nothingElse, ...Object.fromEntries(PEOPLE) }
  return (await runCommand('git', args, { cwd: folder, env, timeout: 60_000 })).trimEnd()
}
