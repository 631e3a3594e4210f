import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sampleGit } from '../machine/git.ts'
import type { Commit } from '../quickstart/sample.ts'

/** A git repository with some environment files, in a folder that stands for the git host. */
export class Repository {
  readonly name: string
  readonly folder: string
  #head = '0'.repeat(40)

  private constructor(name: string, folder: string) {
    this.name = name
    this.folder = folder
  }

  /** @param name `owner/name` */
  static async create(host: string, name: string): Promise<Repository> {
    const repository = new Repository(name, join(host, name))
    await mkdir(repository.folder, { recursive: true })
    await sampleGit(repository.folder, 'init', '--quiet', '--initial-branch=main')
    return repository
  }

  /** The newest commit. */
  get commitId(): string {
    return this.#head
  }

  /** @param files by path; text alone is requirements.txt */
  async commit(files: string | Record<string, string>): Promise<Commit> {
    const all = typeof files === 'string' ? { 'requirements.txt': files } : files
    for (const [path, text] of Object.entries(all)) await writeFile(join(this.folder, path), text)
    await sampleGit(this.folder, 'add', '--all')
    await sampleGit(this.folder, 'commit', '--quiet', '--allow-empty', '--message', 'Change the requirements')
    const before = this.#head
    this.#head = await sampleGit(this.folder, 'rev-parse', 'HEAD')
    return { id: this.#head, before }
  }
}
