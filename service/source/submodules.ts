import { basename } from 'node:path/posix'
import type { Gitlink } from '../../common/bundle-format.ts'
import { GitFailed, git } from '../../common/git-process.ts'
import type { Blobs } from '../blobs/blobs.ts'
import type { StoredBundle } from './bundle.ts'
import { BundleTree, type TreeReader } from './bundle-tree.ts'
import type { Part } from './compose.ts'
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

/** How deep submodules may lie in submodules, and how many there may be in all. */
const MAX_DEPTH = 8
const MAX_SUBMODULES = 100

/** A repository's part of a whole, and the URL that it came from. */
export interface Fetched extends Part {
  url: URL
}

/** A commit's own bundle, and where it came from. */
export interface Root {
  own: StoredBundle
  url: URL
}

/** What fetching submodules needs. */
export interface SubmoduleParts {
  blobs: Blobs
  /** `MEADOW_GIT_URL` */
  gitUrl: URL
  /** Gives the bundle of one submodule's commit; its path is from the root of the whole. */
  fetch: (submodule: Submodule) => Promise<StoredBundle>
}

/**
 * A commit with its submodules, theirs too, at exactly the commits that the trees name.
 * @throws {SubmoduleRefused}, or what `fetch` throws
 */
export async function withSubmodules(parts: SubmoduleParts, root: Root): Promise<Fetched[]> {
  const fetched: Fetched[] = [{ prefix: '', bundle: root.own.digest, url: root.url }]
  const add = async ({ own, url }: Root, prefix: string, depth: number): Promise<void> => {
    const tree = new BundleTree(parts.blobs, own.digest)
    for (const submodule of await submodulesOf(tree, own.gitlinks, url.href, parts.gitUrl)) {
      const path = prefix + submodule.path
      if (depth >= MAX_DEPTH || fetched.length > MAX_SUBMODULES) {
        const why = `is the one too many: ${MAX_SUBMODULES} in all, ${MAX_DEPTH} deep, are the most`
        throw new SubmoduleRefused(path, why, 'Take submodules out.')
      }
      const stored = await parts.fetch({ ...submodule, path })
      fetched.push({ prefix: `${path}/`, bundle: stored.digest, url: submodule.url })
      await add({ own: stored, url: submodule.url }, `${path}/`, depth + 1)
    }
  }
  await add(root, '', 0)
  return fetched
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
