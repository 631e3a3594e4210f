import { createHash } from 'node:crypto'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { BUNDLE_LIMITS, type BundleLimits } from '../../common/bundle-format.ts'
import { BundleRefused } from '../../common/bundle-refused.ts'
import { GitFailed, git } from '../../common/git-process.ts'
import { PassingError } from '../../common/hinted-error.ts'
import { withoutCredentials } from '../../common/without-credentials.ts'
import type { Blobs } from '../blobs/blobs.ts'
import { PrivateAddress } from '../fetch/url-guard.ts'
import { hostIsPrivate } from '../policy/addresses.ts'
import { holdsCommit, makeBare, readObjects } from './bare-repository.ts'
import { type StoredBundle, storeCommit } from './bundle.ts'
import { BundleTree, type CodeTree } from './bundle-tree.ts'
import { compositionOf, storeComposition } from './compose.ts'
import { FETCH_COMMIT, remoteConfig, strangersEnvironment } from './git.ts'
import { guardsFor } from './public-host.ts'
import { remoteError } from './remote.ts'
import { commitsBeginning, SHORT_COMMIT } from './short-commit.ts'
import { SubmoduleRefused } from './submodule-url.ts'
import { type Submodule, withSubmodules } from './submodules.ts'
import { Turns } from './turns.ts'

/** A git repository that packages are built from, at any host, without credentials. */
export interface GitDependencies {
  /**
   * The commit that a branch, a tag or the default branch is at now; 40 hex digits stand for themselves, 7 or more for
   * the one commit that begins so.
   * @param ref as written after `@`; absent for the default branch
   * @throws {GitDependencyFailed}
   */
  resolve(url: string, ref: string | undefined, signal: AbortSignal): Promise<string>
  /**
   * Fetches exactly one commit, with its submodules and theirs.
   * @throws {GitDependencyFailed} also for trees that are refused
   */
  tree(url: string, commit: string, signal: AbortSignal): Promise<CodeTree>
}

/** A git dependency that can't be had. */
export class GitDependencyFailed extends PassingError {
  override name = 'GitDependencyFailed'
}

export interface GitDependenciesOptions {
  blobs: Blobs
  /** Folder for one bare repository an URL. */
  folder: string
  /** The configured host of repositories: what lies below it may be private, or files. */
  gitUrl: URL
  caBundle?: string | undefined
  limits?: BundleLimits
  /** Milliseconds for one command. */
  timeout?: number
}

const COMMIT = /^[0-9a-f]{40}$/
const FIVE_MINUTES = 300_000

export function createGitDependencies(options: GitDependenciesOptions): GitDependencies {
  return new Remotes(options)
}

class Remotes implements GitDependencies {
  readonly #options: GitDependenciesOptions
  readonly #turns = new Turns()

  constructor(options: GitDependenciesOptions) {
    this.#options = options
  }

  async resolve(url: string, ref: string | undefined, signal: AbortSignal): Promise<string> {
    if (ref !== undefined && COMMIT.test(ref)) return ref
    if (ref !== undefined && (!/^[\w][\w./+-]*$/.test(ref) || ref.includes('..'))) {
      throw new GitDependencyFailed(`${url}@${ref}: this is no name of a branch or tag`, 'Correct what follows @.')
    }
    const names = ref === undefined ? ['HEAD'] : [`refs/tags/${ref}^{}`, `refs/tags/${ref}`, `refs/heads/${ref}`, ref]
    const listing = await this.#run(url, ['ls-remote', '--quiet', '--', url, ...names], this.#options.folder, signal)
    const found = new Map(
      listing.split('\n').map((line) => {
        const [id = '', name = ''] = line.split('\t')
        return [name, id]
      }),
    )
    const commit = names.map((name) => found.get(name)).find((id) => id !== undefined && COMMIT.test(id))
    if (commit !== undefined) return commit
    const [short, ...more] = ref !== undefined && SHORT_COMMIT.test(ref) ? await this.#commits(url, ref, signal) : []
    if (short !== undefined && more.length === 0) return short
    throw new GitDependencyFailed(
      short === undefined ? `${url} has no branch or tag ${ref ?? 'HEAD'}` : `${url} has several commits ${ref}…`,
      'Correct what follows @; of a commit all 40 digits are best.',
    )
  }

  async #commits(url: string, short: string, signal: AbortSignal): Promise<string[]> {
    const { folder } = this.#options
    const clone = (options: string[], into: string) =>
      this.#run(url, ['clone', '--quiet', ...options, '--', url, into], folder, signal)
    return await commitsBeginning(short, clone, { folder, signal })
  }

  async tree(url: string, commit: string, signal: AbortSignal): Promise<CodeTree> {
    const { blobs, gitUrl, limits } = this.#options
    const own = await this.#stored(url, commit, signal)
    if (own.gitlinks.length === 0) return new BundleTree(blobs, own.digest)
    try {
      const fetch = async (submodule: Submodule) => {
        return await this.#stored(submodule.url.href, submodule.id, signal).catch((error: unknown) => {
          if (!(error instanceof GitDependencyFailed)) throw error
          const { message, hint, retryable } = error
          throw new GitDependencyFailed(`${url}: submodule ${submodule.path}: ${message}`, hint, retryable)
        })
      }
      const parts = await withSubmodules({ blobs, gitUrl, fetch }, { own, url: new URL(url) })
      const whole = await storeComposition(blobs, await compositionOf(blobs, parts), { lfs: false, limits })
      return new BundleTree(blobs, whole.digest)
    } catch (error) {
      if (error instanceof SubmoduleRefused || error instanceof BundleRefused) {
        throw new GitDependencyFailed(`${url}: ${error.message}`, error.hint)
      }
      throw error
    }
  }

  async #stored(url: string, commit: string, signal: AbortSignal): Promise<StoredBundle> {
    if (!COMMIT.test(commit)) throw new RangeError(`${commit} is not 40 lower-case hex digits`)
    const { blobs, limits = BUNDLE_LIMITS } = this.#options
    const folder = join(this.#options.folder, createHash('sha256').update(url).digest('hex'))
    return await this.#turns.take(folder, async () => {
      await makeBare(folder)
      if (!(await holdsCommit(folder, commit))) {
        await rm(join(folder, 'shallow.lock'), { force: true })
        await this.#run(url, [...FETCH_COMMIT, url, commit], folder, signal, commit)
      }
      try {
        await using objects = readObjects(folder, signal)
        return await storeCommit(blobs, objects, commit, limits)
      } catch (error) {
        if (!(error instanceof BundleRefused)) throw error
        throw new GitDependencyFailed(`${url} at ${commit}: ${error.message}`, error.hint)
      }
    })
  }

  /** git with a remote: without credentials of anybody, no redirects, only to the address that was checked. */
  async #run(url: string, args: string[], cwd: string, signal: AbortSignal, commit?: string): Promise<string> {
    const { caBundle, timeout = FIVE_MINUTES } = this.#options
    const { protocol, guards } = await this.#checked(url, signal)
    const config = ['credential.helper=', ...remoteConfig(caBundle), ...guards]
    const env = strangersEnvironment(protocol)
    await mkdir(cwd, { recursive: true })
    try {
      const all = [...config.flatMap((each) => ['-c', each]), ...args]
      return (await git(all, { cwd, env, signal, timeout })).toString()
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof GitFailed)) throw error
      throw explained(url, commit, error)
    }
  }

  /**
   * @returns the only protocol that may be used, and settings that hold git to the addresses that were looked at
   * @throws {GitDependencyFailed} for a URL that is not fetched
   */
  async #checked(text: string, signal: AbortSignal): Promise<{ protocol: string; guards: string[] }> {
    const refuse = (why: string, hint: string) => new GitDependencyFailed(`${withoutCredentials(text)} ${why}`, hint)
    // git@host:owner/name is no URL.
    if (!URL.canParse(text) || /^(?:git\+)?ssh:/i.test(text)) throw refuse(NEEDS_KEY, BY_HTTPS)
    const url = new URL(text)
    if (url.username || url.password) {
      throw refuse('holds a user name or password', 'Take it out; credentials come in a later version.')
    }
    const { href, protocol } = this.#options.gitUrl
    if (url.href.startsWith(href.endsWith('/') ? href : `${href}/`)) return { protocol, guards: [] }
    if (url.protocol !== 'https:') throw refuse('is not an https: URL', BY_HTTPS)
    const hint = 'Name a repository that everybody can reach, or one of the configured host (MEADOW_GIT_URL).'
    if (hostIsPrivate(url.hostname)) throw refuse('leads to a private address', hint)
    try {
      return { protocol: 'https:', guards: await guardsFor(url, signal) }
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof PrivateAddress) throw refuse('leads to a private address', hint)
      throw new GitDependencyFailed(`${text}: ${error}`, 'Correct the name of the host.', true)
    }
  }
}

function explained(url: string, commit: string | undefined, failed: GitFailed): GitDependencyFailed {
  const { code, message, hint, retryable } = remoteError(failed.stderr || failed.message, { url, commit })
  if (code === 'needs-credentials') {
    return new GitDependencyFailed(
      `${url} does not exist, or is private and asks for credentials`,
      'Check its name; credentials come in a later version: until then ask for a release, or commit a wheel of it.',
    )
  }
  if (/redirect/i.test(failed.stderr)) {
    return new GitDependencyFailed(`${url} is somewhere else now: its host redirects`, 'Write its present URL.')
  }
  const fix = code === 'repository-not-found' ? 'Check its name.' : code === 'commit-not-found' ? COMMIT_GONE : hint
  return new GitDependencyFailed(message, fix, retryable)
}

const NEEDS_KEY = 'is reached by a key, and there are no credentials yet'
const BY_HTTPS = 'Depend on it by an https: URL that everybody can read.'
const COMMIT_GONE = 'It may have been rewritten: name another commit, or lock anew.'
