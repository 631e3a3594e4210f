import { execFile, spawn } from 'node:child_process'
import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import type { TestContext } from 'node:test'
import { promisify } from 'node:util'
import { deflateSync } from 'node:zlib'
import { objectId } from '../../common/git-objects.ts'

/** A folder that is gone after the test. */
export async function temporaryFolder(t: Pick<TestContext, 'after'>): Promise<string> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'meadow-test-')))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** One entry of a git tree, as `git mktree` takes it: any name and mode, however hostile. */
export interface TreeEntry {
  mode: '100644' | '100755' | '120000' | '160000' | '40000'
  name: string
  id: string
}

/** What a file of a test commit is: its bytes, or a link, or a program. */
export type TestFile = string | Uint8Array | { link: string } | { program: string | Uint8Array }

/** A bare repository in a temporary folder, filled by git's plumbing: no working tree, no configuration of the machine. */
export class TestRepository {
  readonly folder: string

  private constructor(folder: string) {
    this.folder = folder
  }

  static async make(folder: string): Promise<TestRepository> {
    const repository = new TestRepository(folder)
    await promisify(execFile)('git', ['init', '--quiet', '--bare', '--initial-branch=main', folder], { env: ENV })
    return repository
  }

  /** Runs git and gives its output without the last newline. */
  async git(args: string[], input?: string | Uint8Array): Promise<string> {
    const child = spawn('git', args, { cwd: this.folder, env: ENV })
    child.stdin.end(input)
    const ended = new Promise((resolve) => child.on('close', resolve))
    const [out, err, code] = await Promise.all([buffer(child.stdout), buffer(child.stderr), ended])
    if (code !== 0) throw new Error(`git ${args.join(' ')}: ${err}`)
    return out.toString().replace(/\n$/, '')
  }

  async blob(content: string | Uint8Array): Promise<string> {
    return await this.git(['hash-object', '-w', '--stdin'], content)
  }

  /** Writes an object as it is, however hostile: a loose one, as git keeps it. */
  async store(type: 'tree' | 'blob', content: Uint8Array): Promise<string> {
    const id = objectId(type, content)
    const folder = join(this.folder, 'objects', id.slice(0, 2))
    await mkdir(folder, { recursive: true })
    await writeFile(
      join(folder, id.slice(2)),
      deflateSync(Buffer.concat([Buffer.from(`${type} ${content.length}\0`), content])),
    )
    return id
  }

  async tree(entries: TreeEntry[]): Promise<string> {
    const line = ({ mode, name, id }: TreeEntry) =>
      `${mode} ${mode === '40000' ? 'tree' : mode === '160000' ? 'commit' : 'blob'} ${id}\t${name}\0`
    return await this.git(['mktree', '-z', '--missing'], entries.map(line).join(''))
  }

  /** A commit of a tree; moves the branch to it where one is named. */
  async commitTree(
    tree: string,
    options: { parents?: string[]; ref?: string; message?: string } = {},
  ): Promise<string> {
    const { parents = [], ref, message = 'test' } = options
    const commit = await this.git(['commit-tree', tree, '-m', message, ...parents.flatMap((id) => ['-p', id])])
    if (ref) await this.git(['update-ref', ref, commit])
    return commit
  }

  /** A commit of these files by path. */
  async commit(files: Record<string, TestFile>, options: { parents?: string[]; ref?: string } = {}): Promise<string> {
    return await this.commitTree(await this.#treeOf(Object.entries(files)), options)
  }

  async #treeOf(files: [string, TestFile][]): Promise<string> {
    const folders = new Map<string, [string, TestFile][]>()
    const entries: TreeEntry[] = []
    for (const [path, file] of files) {
      const [first = '', ...rest] = path.split('/')
      if (rest.length > 0) folders.set(first, [...(folders.get(first) ?? []), [rest.join('/'), file]])
      else entries.push(await this.#leaf(first, file))
    }
    for (const [name, inside] of folders) entries.push({ mode: '40000', name, id: await this.#treeOf(inside) })
    return await this.tree(entries)
  }

  async #leaf(name: string, file: TestFile): Promise<TreeEntry> {
    if (typeof file === 'string' || file instanceof Uint8Array)
      return { mode: '100644', name, id: await this.blob(file) }
    if ('link' in file) return { mode: '120000', name, id: await this.blob(file.link) }
    return { mode: '100755', name, id: await this.blob(file.program) }
  }
}

const ENV = {
  PATH: process.env.PATH,
  HOME: '/nonexistent',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_AUTHOR_NAME: 'Test',
  GIT_AUTHOR_EMAIL: 'test@example.org',
  GIT_COMMITTER_NAME: 'Test',
  GIT_COMMITTER_EMAIL: 'test@example.org',
  GIT_AUTHOR_DATE: '1700000000 +0000',
  GIT_COMMITTER_DATE: '1700000000 +0000',
}
