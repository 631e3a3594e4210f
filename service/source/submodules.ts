import { basename } from 'node:path/posix'
import type { Gitlink } from '../../common/bundle-format.ts'
import { GitFailed, git } from '../../common/git-process.ts'
import type { TreeReader } from './bundle-tree.ts'
import { gitEnvironment } from './git.ts'
import { SubmoduleRefused, submoduleUrl } from './submodule-url.ts'

/** A submodule of one repository: where its tree goes, and what is fetched. */
export interface Submodule extends Gitlink {
  url: URL
}

const FILE = '.gitmodules'
const MAX_BYTES = 1024 * 1024

/**
 * The submodules of a tree: its gitlinks, with the addresses that its `.gitmodules` gives them.
 * @param parent the URL that the tree's repository was fetched from
 * @param base `MEADOW_GIT_URL`
 * @throws {SubmoduleRefused} for one without an address, or with one that is not fetched from
 */
export async function submodulesOf(
  tree: Pick<TreeReader, 'read'>,
  gitlinks: Gitlink[],
  parent: string,
  base: URL,
): Promise<Submodule[]> {
  if (gitlinks.length === 0) return []
  const urls = await addresses(tree)
  return gitlinks.map(({ path, id }) => {
    const written = urls.get(path)
    if (written === undefined) {
      const hint = 'Add it with "git submodule add", or take it out of the tree.'
      throw new SubmoduleRefused(path, `${FILE} gives it no url`, hint)
    }
    return { path, id, url: submoduleUrl(path, written, parent, base) }
  })
}

/** Address by path, as written. Read by git itself: the file has the format of its configuration. */
async function addresses(tree: Pick<TreeReader, 'read'>): Promise<Map<string, string>> {
  const content = (await tree.read(FILE)) ?? Buffer.alloc(0)
  if (content.length > MAX_BYTES) {
    throw new SubmoduleRefused(basename(FILE), `has more than ${MAX_BYTES} bytes`, 'Keep it small.')
  }
  const fields = new Map<string, string>()
  for (const entry of (await listing(content)).split('\0')) {
    const end = entry.indexOf('\n')
    if (end > 0) fields.set(entry.slice(0, end), entry.slice(end + 1))
  }
  const found = new Map<string, string>()
  for (const [key, path] of fields) {
    const [, name] = /^submodule\.(.+)\.path$/s.exec(key) ?? []
    const url = name === undefined ? undefined : fields.get(`submodule.${name}.url`)
    if (url !== undefined) found.set(path.replace(/\/+$/, ''), url)
  }
  return found
}

async function listing(input: Buffer): Promise<string> {
  const env = { ...gitEnvironment(), GIT_CONFIG_GLOBAL: '/dev/null' }
  try {
    return (await git(['config', '--file', '-', '--null', '--list'], { cwd: '/', env, input })).toString()
  } catch (error) {
    if (!(error instanceof GitFailed) || error.exitCode === undefined) throw error
    throw new SubmoduleRefused(FILE, `git can't read it: ${error.stderr.trim()}`, 'Correct the file.')
  }
}
