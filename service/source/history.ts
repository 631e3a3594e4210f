import { GitFailed, git } from '../../common/git-process.ts'
import { gitEnvironment } from './git.ts'

/** The commits of a repository, without their files. */
export class History {
  readonly #folder: string
  constructor(folder: string) {
    this.#folder = folder
  }

  /** Whether a commit is in the history of a ref: one of these, or below one of these (`refs/heads`). */
  async holds(commit: string, prefixes: string[], signal: AbortSignal): Promise<boolean> {
    // Without any, git would look at all refs.
    if (prefixes.length === 0) return false
    const refs = await this.#ask(
      ['for-each-ref', '--count=1', '--format=%(refname)', '--contains', commit, ...prefixes],
      signal,
    )
    return refs !== undefined && refs !== ''
  }

  /** The commit that a ref is at; undefined where there is no such ref. */
  async resolve(ref: string, signal: AbortSignal): Promise<string | undefined> {
    return await this.#ask(['rev-parse', '--verify', '--quiet', `${ref}^{commit}`], signal)
  }

  /** The parents of a commit that is here. */
  async parents(commit: string, signal: AbortSignal): Promise<string[]> {
    const line = await this.#ask(['rev-list', '--parents', '--max-count=1', commit], signal)
    return line?.split(' ').slice(1) ?? []
  }

  async #ask(args: string[], signal: AbortSignal): Promise<string | undefined> {
    // No protocol is allowed: git must not go and fetch a commit that it lacks, which lies outside then.
    const env = { ...gitEnvironment(), GIT_ALLOW_PROTOCOL: 'none' }
    try {
      return (await git(args, { cwd: this.#folder, env, signal })).toString().trim()
    } catch (error) {
      if (!(error instanceof GitFailed)) throw error
      // Where it may not fetch, a broken pipe ends git before it can exit.
      if (error.exitCode !== undefined || error.stderr.includes('not allowed')) return undefined
      throw error
    }
  }
}
