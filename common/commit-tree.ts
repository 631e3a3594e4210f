import { buffer } from 'node:stream/consumers'
import { BundleRefused } from './bundle-refused.ts'
import { GitFailed } from './git-process.ts'
import type { GitObject, ObjectReader } from './object-reader.ts'

/** A file, link or submodule of a commit, as its trees have it. */
export interface CommitLeaf {
  path: string
  /** Octal, as it is written: `100644`, `120000`, and what old versions of git wrote. */
  mode: string
  id: string
}

interface TreeEntry {
  name: string
  mode: string
  id: string
}

const FOLDER = '40000'
/** Bytes of all trees of one commit. Those of a million files have 50 million. */
const MAX_TREES = 512 * 1024 * 1024
/** Folders inside one another: a path of more is longer than any system takes. */
const MAX_DEPTH = 2000

/**
 * All files, links and submodules of a commit, in the byte order of their paths.
 * @param most of them, folders counted too: a few trees that name each other many times would give any number
 * @throws {BundleRefused} for trees that git would not write, and past the limit
 * @throws {GitFailed} where git does not have the commit or one of its trees
 */
export async function commitLeaves(objects: ObjectReader, commit: string, most: number): Promise<CommitLeaf[]> {
  const { root, trees } = await readTrees(objects, commit)
  const leaves: CommitLeaf[] = []
  let count = 0
  const walk = (id: string, folder: string) => {
    for (const { name, mode, id: child } of trees.get(id) ?? []) {
      if (++count > most) throw new BundleRefused('size', undefined, `the code holds more than ${most} files`, KEEP_OUT)
      if (mode === FOLDER) walk(child, `${folder}${name}/`)
      else leaves.push({ path: folder + name, mode, id: child })
    }
  }
  walk(root, '')
  return leaves
}

/** Every tree once, one level of folders at a time: git is asked for all of a level before the first is read. */
async function readTrees(objects: ObjectReader, commit: string) {
  const trees = new Map<string, TreeEntry[]>()
  let root: string | undefined
  let wanted = [`${commit}^{tree}`]
  let bytes = 0
  for (let depth = 0; wanted.length > 0; depth++) {
    if (depth > MAX_DEPTH) {
      const message = `the code has more than ${MAX_DEPTH} folders inside one another`
      throw new BundleRefused('size', undefined, message, KEEP_OUT)
    }
    const below = new Set<string>()
    const level = objects.read(wanted)
    for (const name of wanted) {
      const tree = treeObject(name, (await level.next()).value ?? undefined)
      bytes += tree.size
      if (bytes > MAX_TREES) {
        throw new BundleRefused('size', undefined, `the code's folders take more than ${MAX_TREES} bytes`, KEEP_OUT)
      }
      const entries = parseTree(await buffer(tree.content))
      root ??= tree.id
      trees.set(tree.id, entries)
      for (const { mode, id } of entries) if (mode === FOLDER) below.add(id)
    }
    await level.next()
    wanted = [...below].filter((id) => !trees.has(id))
  }
  return { root: root ?? '', trees }
}

function treeObject(name: string, object: GitObject | undefined): GitObject {
  if (object?.type === 'tree') return object
  throw new GitFailed(['cat-file', '--batch'], undefined, `${name} is ${object ? `a ${object.type}` : 'not here'}`)
}

/**
 * `mode SP name NUL`, then 20 bytes of the id, again and again; sorted as if names of folders ended in a slash:
 * https://git-scm.com/book/en/v2/Git-Internals-Git-Objects#_tree_objects
 */
function parseTree(content: Buffer): TreeEntry[] {
  const entries: TreeEntry[] = []
  let before = ''
  for (let at = 0; at < content.length; ) {
    const space = content.indexOf(32, at)
    const end = content.indexOf(0, space)
    if (space < 0 || end < 0 || end + 21 > content.length) throw malformed(undefined, 'a tree of it ends too early')
    const mode = content.toString('latin1', at, space).replace(/^0+/, '')
    const bytes = content.toString('latin1', space + 1, end)
    const name = content.toString('utf8', space + 1, end)
    if (!Buffer.from(name).equals(content.subarray(space + 1, end))) {
      throw new BundleRefused('name', name, 'is not UTF-8', 'Rename this file; names must be UTF-8.')
    }
    if (name.includes('/')) throw new BundleRefused('name', name, 'has a slash in one name', 'Rename this file.')
    // One character a byte: strings compare as bytes do.
    const key = mode === FOLDER ? `${bytes}/` : bytes
    if (key <= before) throw malformed(name, 'is there twice or out of order')
    before = key
    entries.push({ name, mode, id: content.toString('hex', end + 1, end + 21) })
    at = end + 21
  }
  return entries
}

function malformed(name: string | undefined, why: string): BundleRefused {
  return new BundleRefused('order', name, why, 'Make the commit again with git.')
}

const KEEP_OUT = 'Keep large data out of it.'
