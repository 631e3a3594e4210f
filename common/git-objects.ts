import { createHash, type Hash } from 'node:crypto'

/**
 * Git's object ids, recomputed: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects. Only repositories with SHA-1
 * ids are known. SHA-1 collisions exist; so what these ids prove is used in the domain of who sent the bytes.
 */
export type ObjectId = string

/** A file, link or submodule of a tree, by its whole path. */
export interface TreeLeaf {
  path: string
  mode: '100644' | '100755' | '120000' | '160000'
  id: ObjectId
}

/** A hash that gives the id of a blob of `size` bytes once its content was put in. */
export function blobHash(size: number): Hash {
  return createHash('sha1').update(`blob ${size}\0`)
}

/** The id of an object that is in memory. */
export function objectId(type: 'blob' | 'tree' | 'commit', content: Uint8Array): ObjectId {
  return createHash('sha1').update(`${type} ${content.length}\0`).update(content).digest('hex')
}

/** The id of the tree that holds exactly these leaves; folders follow from their paths. */
export function treeId(leaves: Iterable<TreeLeaf>): ObjectId {
  const root: Folder = new Map()
  for (const leaf of leaves) {
    const parts = leaf.path.split('/')
    const name = parts.pop() as string
    let folder = root
    for (const part of parts) {
      const key = `${part}/`
      const next = folder.get(key) ?? (new Map() as Folder)
      folder.set(key, next)
      folder = next as Folder
    }
    folder.set(name, leaf)
  }
  return folderId(root)
}

/** By name; a folder's ends in a slash, which is also what git sorts it by. */
interface Folder extends Map<string, Folder | TreeLeaf> {}

function folderId(folder: Folder): ObjectId {
  const entries = [...folder].map(([key, value]) => ({ key: Buffer.from(key), value }))
  entries.sort((a, b) => Buffer.compare(a.key, b.key))
  const parts = entries.map(({ key, value }) => {
    const [mode, id, name] =
      value instanceof Map ? ['40000', folderId(value), key.subarray(0, -1)] : [value.mode, value.id, key]
    return Buffer.concat([Buffer.from(`${mode} `), name, Buffer.from([0]), Buffer.from(id, 'hex')])
  })
  return objectId('tree', Buffer.concat(parts))
}

/** The tree that a raw commit object names; undefined where it is none. */
export function treeOfCommit(commit: Uint8Array): ObjectId | undefined {
  return /^tree ([0-9a-f]{40})\n/.exec(Buffer.from(commit.subarray(0, 64)).toString('latin1'))?.[1]
}
