import { buffer } from 'node:stream/consumers'
import { createGunzip } from 'node:zlib'
import { readTar } from '../../common/read-tar.ts'
import type { TarEntry } from '../../common/tar.ts'
import type { Blobs } from '../../service/blobs/blobs.ts'
import type { LayerDescriptor } from '../../service/image/base.ts'
import type { OwnEntry } from '../../service/image/skeleton.ts'
import type { MadeArtifact, MadeFile } from './fragments.ts'

/** A tree as text, a line a path: `folder 755`, `file 644 content`, `link target`. */
export type Tree = Map<string, string>

/** Applies layers as the OCI image spec says (layer.md, "Applying Changesets"), without regard to how they were made. */
export async function applyLayers(layers: LayerDescriptor[], blobs: Blobs): Promise<Tree> {
  const tree: Tree = new Map()
  for (const layer of layers) {
    const listed: Listed = new Map([['', 'directory']])
    for await (const { entry, content } of readTar((await blobs.open(layer.digest)).pipe(createGunzip()))) {
      applyEntry(tree, entry, await buffer(content), listed)
    }
  }
  return tree
}

/** What a layer has listed so far. */
type Listed = Map<string, TarEntry['type']>

function applyEntry(tree: Tree, entry: TarEntry, content: Buffer, listed: Listed): void {
  const { path } = entry
  const folder = path.slice(0, Math.max(0, path.lastIndexOf('/')))
  if (listed.get(folder) !== 'directory') throw new Error(`${path} comes before its folder`)
  if (listed.has(path)) throw new Error(`${path} comes twice in a layer`)
  const name = path.slice(path.lastIndexOf('/') + 1)
  if (name === '.wh..wh..opq') {
    if ([...listed.keys()].some((other) => other.startsWith(`${folder}/`))) throw new Error(`${path} comes late`)
    removeBelow(tree, folder)
    return
  }
  if (name.startsWith('.wh.')) {
    const gone = `${folder}/${name.slice(4)}`
    if (!tree.has(gone)) throw new Error(`${gone} is whited out but is not there`)
    removeBelow(tree, gone)
    tree.delete(gone)
    return
  }
  listed.set(path, entry.type)
  if (entry.type !== 'directory') removeBelow(tree, path)
  tree.set(path, describe(entry, content.toString()))
}

function removeBelow(tree: Tree, folder: string): void {
  for (const path of tree.keys()) if (path.startsWith(`${folder}/`)) tree.delete(path)
}

function describe({ type, mode, link }: Pick<TarEntry, 'type' | 'mode' | 'link'>, content: string): string {
  if (type === 'symlink') return `link ${link}`
  return type === 'directory' ? `folder ${mode.toString(8)}` : `file ${mode.toString(8)} ${content}`
}

type Node = { children: Map<string, Node>; mode: number } | { text: string }

/**
 * The tree by definition: artifacts installed one by one in the order of their names, a later file or folder in place
 * of what is there; then byte code for those sources that are still as their artifact brought them.
 */
export function installOneByOne(skeleton: OwnEntry[], artifacts: MadeArtifact[]): Tree {
  const root = { children: new Map<string, Node>(), mode: 0o755 }
  for (const { content = '', ...entry } of skeleton) {
    if (entry.type === 'directory') openFolder(root, entry.path.split('/'), entry.mode)
    else if (!entry.path.endsWith('/.wh..wh..opq')) install(root, { ...entry, content })
  }
  const ordered = artifacts.toSorted((a, b) => (a.name < b.name ? -1 : 1))
  for (const { files } of ordered) for (const file of files.filter((one) => !isPyc(one))) install(root, file)
  for (const { files, bytecode = [] } of ordered) {
    for (const pyc of [...files.filter(isPyc), ...bytecode]) {
      const source = pyc.path.replace(/__pycache__\/(\w+)\.cpython-311\.pyc$/, '$1.py')
      const own = files.find((file) => file.path === source)
      const seen = lookUp(root, source)
      const visible = seen && 'text' in seen ? seen.text : undefined
      if (visible === (own && textOf(own)) && !inTheWay(root, pyc.path)) install(root, pyc)
    }
  }
  return flatten(root)
}

function isPyc({ path }: MadeFile): boolean {
  return /\/__pycache__\/\w+\.cpython-311\.pyc$/.test(path)
}

function textOf({ content, mode = 0o644, link }: MadeFile): string {
  return describe({ type: link === undefined ? 'file' : 'symlink', mode, ...(link && { link }) }, content)
}

function install(root: Node, file: MadeFile): void {
  const names = file.path.split('/')
  const name = names.pop() ?? ''
  openFolder(root, names, 0o755).set(name, { text: textOf(file) })
}

function openFolder(node: Node, names: string[], mode: number): Map<string, Node> {
  if (!('children' in node)) throw new Error('a file is in the way')
  const [name, ...rest] = names
  if (name === undefined) return node.children
  const known = node.children.get(name)
  const child = known && 'children' in known ? known : { children: new Map<string, Node>(), mode }
  node.children.set(name, child)
  return openFolder(child, rest, mode)
}

function lookUp(node: Node | undefined, path: string): Node | undefined {
  return path
    .split('/')
    .reduce<Node | undefined>((at, name) => (at && 'children' in at ? at.children.get(name) : undefined), node)
}

function inTheWay(root: Node, path: string): boolean {
  const names = path.split('/')
  const at = lookUp(root, path)
  if (at && 'children' in at) return true
  return names.some((_, count) => {
    const above = lookUp(root, names.slice(0, count).join('/'))
    return count > 0 && above !== undefined && 'text' in above
  })
}

function flatten(node: Node, prefix = '', tree: Tree = new Map()): Tree {
  if (!('children' in node)) return tree
  for (const [name, child] of node.children) {
    tree.set(prefix + name, 'text' in child ? child.text : `folder ${child.mode.toString(8)}`)
    flatten(child, `${prefix}${name}/`, tree)
  }
  return tree
}
