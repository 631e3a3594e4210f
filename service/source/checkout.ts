import { createHash } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { SimpleGit } from 'simple-git'
import { git } from '../../common/git-process.ts'
import type { ObjectReader } from '../../common/object-reader.ts'
import { holdsCommit, makeBare, readObjects } from './bare-repository.ts'
import { CommitGit, type Remote } from './commit-git.ts'
import { gitEnvironment, remoteConfig, remoteEnvironment, remoteGit, strangersEnvironment } from './git.ts'
import { History } from './history.ts'
import { Prepared } from './prepared.ts'
import { guardsFor } from './public-host.ts'
import { refCandidates } from './ref-name.ts'
import { RemoteError, remoteError, remoteUrl } from './remote.ts'
import { Turns } from './turns.ts'

/** A repository: its identity here, and the name by which the host knows it now. */
export interface RepositoryRef {
  /** `rep_…` */
  id: string
  /** `owner/name` */
  name: string
}

/** What a host says that its refs are: `refs/…` to commit, tags peeled. */
export type RemoteRefs = Map<string, string>

export interface CheckoutOptions {
  /** Folder for one pair of bare repositories a repository id. */
  folder: string
  /** Base of clone URLs. */
  gitUrl: URL
  caBundle?: string | undefined
  /** Milliseconds for one fetch. */
  timeout?: number
  /** Milliseconds from a fetch until the next one of its repository is prepared: the build of its commit goes first. */
  prepareAfter?: number
}

const FIVE_MINUTES = 300_000
/** Commits that are remembered. */
const MOST_FETCHED = 10_000
const COMMIT = /^[0-9a-f]{40}$/

/** A repository that was pushed to is likely to be pushed to again. */
const PREPARED = { later: 1000, lifetime: 15 * 60_000, most: 8 }

/** Bare repositories of what was fetched: one for single commits without history, one for history without files. */
export class Checkouts {
  readonly #options: CheckoutOptions
  readonly #turns = new Turns()
  /** Commits that need not be asked for: looking would take another process of git, a fifth of what fetching takes. */
  readonly #fetched = new Set<string>()
  readonly #prepared: Prepared<CommitGit>

  constructor(options: CheckoutOptions) {
    this.#options = options
    this.#prepared = new Prepared({ ...PREPARED, later: options.prepareAfter ?? PREPARED.later })
  }

  /**
   * Fetches exactly one commit, by its 40 hex digits and without its history, unless it is there.
   * @returns a reader of the repository that holds it, to be disposed of
   * @throws {RemoteError}
   */
  async commit(repository: RepositoryRef, commit: string, signal: AbortSignal): Promise<ObjectReader> {
    if (!COMMIT.test(commit)) throw new RangeError(`${commit} is not 40 lower-case hex digits`)
    const { gitUrl, caBundle } = this.#options
    const url = remoteUrl(gitUrl, repository.name)
    const remote = { url, config: remoteConfig(caBundle), env: remoteEnvironment(gitUrl.protocol) }
    const name = `${repository.id} ${commit}`
    return await this.#turns.take(repository.id, async () => {
      const folder = await this.#bare(repository.id, 'commits.git')
      if (this.#fetched.has(name)) return readObjects(folder, signal)
      const objects = await this.#fetch(folder, remote, commit, signal).catch(async (error: unknown) => {
        // What an earlier process fetched needs no host.
        if (error instanceof RemoteError && (await holdsCommit(folder, commit))) return readObjects(folder, signal)
        throw error
      })
      if (this.#fetched.size > MOST_FETCHED) this.#fetched.clear()
      this.#fetched.add(name)
      this.#prepared.wish(`${folder} ${url}`, () => new CommitGit(folder, remote))
      return objects
    })
  }

  /**
   * Fetches exactly one commit from an address that a repository names: without credentials, and for another host than
   * the configured one without redirects, and only from public addresses.
   * @returns a reader of the repository that holds it, to be disposed of
   * @throws {RemoteError}
   */
  async stranger(url: URL, commit: string, signal: AbortSignal): Promise<ObjectReader> {
    const { gitUrl, caBundle } = this.#options
    const id = `url_${createHash('sha256').update(url.href).digest('hex').slice(0, 32)}`
    return await this.#turns.take(id, async () => {
      const folder = await this.#bare(id, 'commits.git')
      if (await holdsCommit(folder, commit)) return readObjects(folder, signal)
      const guards = url.host === gitUrl.host ? [] : await guardsFor(url, signal)
      const config = [...remoteConfig(caBundle), ...guards]
      const remote = { url: url.href, config, env: strangersEnvironment(url.protocol) }
      return await this.#fetch(folder, remote, commit, signal)
    })
  }

  /** Ends what waits for further commits. */
  async close(): Promise<void> {
    await this.#prepared[Symbol.asyncDispose]()
  }

  async #fetch(folder: string, remote: Remote, commit: string, signal: AbortSignal): Promise<ObjectReader> {
    // Only this process works here, one fetch at a time: a lock that is there was left by one that was killed.
    await rm(join(folder, 'shallow.lock'), { force: true })
    const { url } = remote
    const git = (await this.#prepared.take(`${folder} ${url}`)) ?? new CommitGit(folder, remote)
    await this.#limited({ url, signal, commit }, (limited) => git.fetch(commit, limited))
    return git.objects(signal)
  }

  /**
   * The branches and tags of a repository, and the refs of one pull request.
   * @throws {RemoteError}
   */
  async refs(repository: RepositoryRef, pullRequest: number | undefined, signal: AbortSignal): Promise<RemoteRefs> {
    const patterns = ['refs/heads/*', 'refs/tags/*']
    if (pullRequest !== undefined) patterns.push(`refs/pull/${pullRequest}/head`, `refs/pull/${pullRequest}/merge`)
    return await this.#list(repository, patterns, signal)
  }

  /**
   * The commit that a branch or tag is at now; `HEAD` is the default branch.
   * @returns its whole name too: `refs/tags/v1`
   * @throws {RemoteError} also where the name is none, or the host has no such ref
   */
  async resolve(repository: RepositoryRef, ref: string, signal: AbortSignal): Promise<{ commit: string; ref: string }> {
    const candidates = refCandidates(ref)
    // An annotated tag is listed as what it points to only where that is asked for too.
    const refs = await this.#list(repository, [...candidates, ...candidates.map((name) => `${name}^{}`)], signal)
    for (const name of candidates) {
      const commit = refs.get(name)
      if (commit !== undefined) return { commit, ref: name }
    }
    const message = `ref: ${repository.name} has no branch or tag ${JSON.stringify(ref)}`
    throw new RemoteError('ref-not-found', message, 'Push it, correct it, or give all 40 digits of the commit.')
  }

  async #list(repository: RepositoryRef, patterns: string[], signal: AbortSignal): Promise<RemoteRefs> {
    const folder = await this.#bare(repository.id, 'commits.git')
    const listing = await this.#ask(repository, { folder, signal }, (git, url) =>
      git.raw(['ls-remote', '--quiet', url, ...patterns]),
    )
    const refs: RemoteRefs = new Map()
    for (const line of listing.split('\n')) {
      const [, id, ref] = /^([0-9a-f]{40})\t(HEAD|refs\/.+)$/.exec(line) ?? []
      // An annotated tag comes twice; the second time, with ^{}, it says the commit.
      if (id && ref) refs.set(ref.replace(/\^\{\}$/, ''), id)
    }
    return refs
  }

  /**
   * Fetches the history of all branches and tags, and of the named refs: commits alone where the host can (`tree:0`).
   * @throws {RemoteError}
   */
  async history(repository: RepositoryRef, refs: string[], signal: AbortSignal): Promise<History> {
    return await this.#turns.take(repository.id, async () => {
      const folder = await this.#bare(repository.id, 'history.git')
      const specs = ['refs/heads/*', 'refs/tags/*', ...refs].map((ref) => `+${ref}:${ref}`)
      await this.#ask(repository, { folder, signal }, async (remote, url) => {
        // A partial clone needs a remote with a name.
        await git(['config', 'remote.origin.url', url], { cwd: folder, env: gitEnvironment(), signal })
        const args = ['fetch', '--quiet', '--no-tags', '--no-write-fetch-head', '--prune', '--filter=tree:0', 'origin']
        await remote.raw([...args, ...specs])
      })
      return new History(folder)
    })
  }

  async #bare(id: string, name: string): Promise<string> {
    if (!/^[\w-]+$/.test(id)) throw new RangeError(`${id} is not the id of a repository`)
    const folder = join(this.#options.folder, id, name)
    await makeBare(folder)
    return folder
  }

  async #ask<T>(
    repository: RepositoryRef,
    { folder, signal }: { folder: string; signal: AbortSignal },
    work: (git: SimpleGit, url: string) => Promise<T>,
  ): Promise<T> {
    const { gitUrl, caBundle } = this.#options
    const url = remoteUrl(gitUrl, repository.name)
    return await this.#limited({ url, signal }, (both) =>
      work(remoteGit({ folder, protocol: gitUrl.protocol, signal: both, caBundle }), url),
    )
  }

  async #limited<T>(
    { url, signal, commit }: { url: string; signal: AbortSignal; commit?: string },
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const { timeout = FIVE_MINUTES } = this.#options
    const limit = AbortSignal.timeout(timeout)
    try {
      return await work(AbortSignal.any([signal, limit]))
    } catch (error) {
      signal.throwIfAborted()
      if (limit.aborted) {
        const message = `${url} did not give what was asked within ${timeout / 1000} s`
        throw new RemoteError('unreachable', message, 'Check the git host, and how large the repository is.')
      }
      throw remoteError(error instanceof Error ? error.message : String(error), { url, commit })
    }
  }
}
