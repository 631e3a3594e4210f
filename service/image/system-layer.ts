import { createHash } from 'node:crypto'
import { pipeline, Readable } from 'node:stream'
import { createGzip } from 'node:zlib'
import { ownedHeader } from '../../common/owned-header.ts'
import { readTar } from '../../common/read-tar.ts'
import { TAR_END, type TarEntry, tarPadding } from '../../common/tar.ts'
import { TarRefused } from '../../common/tar-fields.ts'
import type { Blobs } from '../blobs/blobs.ts'
import { parentOf } from './folders.ts'
import type { WrittenLayer } from './layers.ts'
import { LAYER_TYPE } from './media-types.ts'
import { FIXED_TIME } from './skeleton.ts'

/** What is no part of a system: what packages leave behind when they are installed, and what engines put in. */
const LEFT_OUT = [
  ...['proc', 'sys', 'dev', 'tmp', 'var/tmp', 'var/cache/apt', 'var/lib/apt/lists', '.dockerenv', 'root/.cache'],
  ...['var/cache/ldconfig/aux-cache', 'etc/hosts', 'etc/hostname', 'etc/resolv.conf', 'etc/mtab', 'etc/.pwd.lock'],
]
/** Of these the folders stay: daemons need theirs. */
const FOLDERS_ONLY = ['run', 'var/log']
/** Second copies that dpkg, debconf and the account tools keep. */
const BACKUPS = /^var\/(?:lib\/dpkg|cache\/debconf)\/[^/]*-old$|^etc\/[^/]+-$/

/** A file, folder or link as `find -printf '%y %m %U %G %s %C@ %p\0'` lists it. */
interface Listed {
  type: TarEntry['type']
  mode: number
  uid: number
  gid: number
  /** All that is said of it: when it differs, it was changed. */
  text: string
}

/** What an installation did to a file system. Paths are relative to its root. */
export interface FileChanges {
  /** New or changed, and the parents of all others, in the order of their paths. */
  folders: Map<string, Listed>
  /** New or changed files and symbolic links, likewise. */
  files: Map<string, Listed>
  /** What is gone; of a whole folder, the folder alone. */
  gone: string[]
}

/** Compares two listings. What is no file, folder or link is left out. */
export function changesOf(before: Buffer, after: Buffer): FileChanges {
  const old = listed(before)
  const now = listed(after)
  const folders = new Map<string, Listed>()
  const files = new Map<string, Listed>()
  const withParents = (path: string) => {
    for (let folder = parentOf(path); folder !== '' && !folders.has(folder); folder = parentOf(folder)) {
      const row = now.get(folder)
      if (row !== undefined) folders.set(folder, row)
    }
  }
  for (const [path, row] of now) {
    const was = old.get(path)
    if (was?.text === row.text) continue
    if (row.type !== 'directory') files.set(path, row)
    else if (was !== undefined && sameFolder(was, row)) continue
    else folders.set(path, row)
    withParents(path)
  }
  const gone = new Set([...old.keys()].flatMap((path) => topOfGone(path, old, now)))
  for (const path of gone) withParents(path)
  return { folders: sorted(folders), files: sorted(files), gone: [...gone].sort() }
}

/** The highest path to white out to be rid of one: what is gone, or a folder whose place another thing has taken. */
function topOfGone(path: string, old: Map<string, Listed>, now: Map<string, Listed>): string[] {
  let top: string | undefined
  for (let at = path; at !== ''; at = parentOf(at)) {
    const is = now.get(at)
    const wasFolder = old.get(at)?.type === 'directory'
    if (is === undefined || (wasFolder && is.type !== 'directory')) top = at
  }
  return top === undefined ? [] : [top]
}

/** A folder's time changes with what is in it, which is told by itself. */
function sameFolder(a: Listed, b: Listed): boolean {
  return a.type === b.type && a.mode === b.mode && a.uid === b.uid && a.gid === b.gid
}

function sorted<T>(map: Map<string, T>): Map<string, T> {
  return new Map([...map].sort(([a], [b]) => (a < b ? -1 : 1)))
}

const TYPES: Record<string, TarEntry['type']> = { f: 'file', d: 'directory', l: 'symlink' }

function listed(listing: Buffer): Map<string, Listed> {
  const rows = new Map<string, Listed>()
  for (const text of listing.toString().split('\0')) {
    const [, kind = '', mode = '', uid, gid, path = ''] = /^(\S) ([0-7]+) (\d+) (\d+) \d+ \S+ \/(.+)$/s.exec(text) ?? []
    const type = TYPES[kind]
    if (type === undefined || isLeftOut(path, type)) continue
    rows.set(path, { type, mode: Number.parseInt(mode, 8), uid: Number(uid), gid: Number(gid), text })
  }
  return rows
}

function isLeftOut(path: string, type: Listed['type']): boolean {
  if (BACKUPS.test(path) || path.split('/').some((part) => part.startsWith('.wh.'))) return true
  const isBelow = (out: string) => path === out || path.startsWith(`${out}/`)
  return LEFT_OUT.some(isBelow) || (type !== 'directory' && FOLDERS_ONLY.some(isBelow))
}

/**
 * Writes the layer of some changes: owners and modes as they are, times too where they come from packages; what was
 * written just now gets a fixed one. Folders first, then whiteouts (OCI image spec, layer.md), then files.
 * @param tar of the changed files and links, in their order, as the container packed it
 * @param began when the installation began, in seconds since 1970
 * @throws {TarRefused} where the tar is not of these files
 */
export async function writeSystemLayer(
  changes: FileChanges,
  tar: AsyncIterable<Uint8Array>,
  began: number,
  blobs: Blobs,
): Promise<WrittenLayer> {
  const hash = createHash('sha256')
  let tarSize = 0
  const counted = async function* () {
    for await (const chunk of layerTar(changes, tar, began)) {
      hash.update(chunk)
      tarSize += chunk.length
      yield chunk
    }
  }
  // A failure anywhere destroys the last stream with it, and so reaches the blob.
  const gzip = pipeline(Readable.from(counted(), { objectMode: false }), createGzip({ level: 6 }), () => {})
  const { digest, size } = await blobs.put(gzip)
  return { digest, diffId: `sha256:${hash.digest('hex')}`, size, mediaType: LAYER_TYPE, tarSize }
}

async function* layerTar({ folders, files, gone }: FileChanges, tar: AsyncIterable<Uint8Array>, began: number) {
  for (const [path, row] of folders) {
    yield ownedHeader({ path, type: 'directory', mode: row.mode, size: 0, mtime: FIXED_TIME }, row)
  }
  for (const path of gone) yield whiteout(path)
  const missing = new Map(files)
  for await (const { entry, content } of readTar(tar)) {
    const row = missing.get(entry.path)
    if (row?.type !== entry.type) throw new TarRefused(entry.path, 'was not asked for')
    missing.delete(entry.path)
    yield ownedHeader({ ...entry, mode: row.mode, mtime: timeOf(entry, began) }, row)
    yield* content
    yield tarPadding(entry.size)
  }
  for (const path of missing.keys()) throw new TarRefused(path, 'is missing')
  yield TAR_END
}

/** Files of packages carry the times of their making; what is newer was written by their scripts. */
function timeOf({ mtime }: TarEntry, began: number): number {
  return mtime < 0 || mtime >= began ? FIXED_TIME : mtime
}

function whiteout(path: string): Buffer {
  const folder = parentOf(path)
  const name = path.slice(folder === '' ? 0 : folder.length + 1)
  const entry = { path: `${folder === '' ? '' : `${folder}/`}.wh.${name}`, type: 'file' as const }
  return ownedHeader({ ...entry, mode: 0o644, size: 0, mtime: FIXED_TIME }, { uid: 0, gid: 0 })
}
