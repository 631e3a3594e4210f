import { posix } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { GitFailed, git } from '../../common/git-process.ts'
import { ObjectReader } from '../../common/object-reader.ts'

/** A folder with a git checkout, where the user's workflow made one. */
export class Checkout {
  readonly folder: string

  constructor(folder: string) {
    this.folder = folder
  }

  /**
   * The full name of a commit that a branch, a tag or a short name means here; undefined where it is not known here.
   * @throws {GitFailed} where git can't be run at all
   */
  async resolve(ref: string): Promise<string | undefined> {
    for (const name of [ref, `refs/remotes/origin/${ref}`]) {
      const args = ['rev-parse', '--verify', '--quiet', '--end-of-options', `${name}^{commit}`]
      const found = await this.#try(args)
      if (found) return found.toString().trim()
    }
    return undefined
  }

  /** Whether this is a checkout of a repository (`owner/name`), as its remote says. */
  async isOf(repository: string): Promise<boolean> {
    const url = (await this.#try(['config', '--get', 'remote.origin.url']))?.toString().trim() ?? ''
    const path = url
      .replace(/\/+$/, '')
      .replace(/\.git$/, '')
      .toLowerCase()
    return path.endsWith(`/${repository.toLowerCase()}`) || path.endsWith(`:${repository.toLowerCase()}`)
  }

  /** Whether a commit is here. */
  async holds(commit: string): Promise<boolean> {
    return (await this.#try(['cat-file', '-e', `${commit}^{commit}`])) !== undefined
  }

  /** Names at the root of a commit's tree. */
  async rootOf(commit: string): Promise<string[]> {
    const listing = await git(['ls-tree', '-z', '--name-only', '--full-tree', commit], { cwd: this.folder })
    return listing.toString().split('\0').filter(Boolean)
  }

  /** A file of a commit, or undefined where it has none of that name. */
  async read(commit: string, path: string): Promise<Buffer | undefined> {
    // What is asked of git goes one a line, and of what lies outside it will not hear.
    if (path.includes('\n') || posix.normalize(path).startsWith('../')) return undefined
    await using objects = this.objects()
    const { value: object } = await objects.read([`${commit}:${path}`]).next()
    return object?.type === 'blob' ? await buffer(object.content) : undefined
  }

  /** A reader of its objects, to be disposed of. */
  objects(signal?: AbortSignal): ObjectReader {
    return new ObjectReader({ cwd: this.folder, ...(signal && { signal }) })
  }

  /** The raw commit object. */
  async commitObject(commit: string): Promise<Buffer> {
    return await git(['cat-file', 'commit', commit], { cwd: this.folder })
  }

  async #try(args: string[]): Promise<Buffer | undefined> {
    try {
      return await git(args, { cwd: this.folder })
    } catch (error) {
      if (error instanceof GitFailed && error.exitCode !== undefined) return undefined
      throw error
    }
  }
}
