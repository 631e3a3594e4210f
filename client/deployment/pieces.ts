import { createHash } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { cut, endsGroup, LARGE_FILE } from '../../common/chunking.ts'
import { digestOf } from '../../common/piece-index.ts'
import { tarHeader, tarPadding } from '../../common/tar.ts'
import type { LocalFile } from './local-walk.ts'
import { FileChanged, MirrorRefused } from './mirror-refused.ts'
import type { PieceCache } from './piece-cache.ts'

/** A piece of a root. */
export interface Piece {
  digest: string
  /** Bytes. */
  size: number
  /** @throws {FileChanged} where its files are no longer what they were, {MirrorRefused} where they can't be read */
  read(): Promise<Buffer>
}

/** 2000-01-01T00:00:00Z, in seconds: times of files are not mirrored. */
const MTIME = 946_684_800

/**
 * The pieces of a root's files, in order. Only what is not in the cache is read.
 * @throws {FileChanged} or {MirrorRefused} where a file can't be read
 */
export async function piecesOf(
  root: string,
  files: readonly LocalFile[],
  cache: PieceCache,
  signal?: AbortSignal,
): Promise<Piece[]> {
  const pieces: Piece[] = []
  for (const group of grouped(files)) {
    const [first] = group
    const large = first !== undefined && group.length === 1 && first.size >= LARGE_FILE ? first : undefined
    const key = keyOf(group)
    let known = cache.find(key)
    if (known === undefined) {
      // The only place where time goes: others get their turn.
      await setImmediate()
      signal?.throwIfAborted()
      known = large ? await cutLarge(root, large) : [named(readGroup(root, group))]
    }
    cache.keep(key, known, group)
    let start = 0
    for (const { digest, size } of known) {
      const end = start + size
      const range = { start, end }
      const read = async () =>
        checked(digest, large ? await readRange(root, large, range) : readGroup(root, group), first)
      pieces.push({ digest, size, read })
      start = end
    }
  }
  return pieces
}

/** Files that make one piece, or a large file that makes several. */
function* grouped(files: readonly LocalFile[]): Generator<LocalFile[]> {
  let group: LocalFile[] = []
  let bytes = 0
  for (const file of files) {
    if (file.size >= LARGE_FILE) {
      if (group.length > 0) yield group
      yield [file]
      group = []
      bytes = 0
      continue
    }
    // Near enough: a header, and the content in blocks.
    const size = 1024 + file.size
    group.push(file)
    bytes += size
    if (!endsGroup(file.path, size, bytes)) continue
    yield group
    group = []
    bytes = 0
  }
  if (group.length > 0) yield group
}

function keyOf(group: readonly LocalFile[]): string {
  const hash = createHash('sha256')
  for (const { path, executable, size, link, stamp } of group) {
    hash.update(JSON.stringify([path, executable, size, link, stamp]))
  }
  return hash.digest('base64url')
}

function named(bytes: Buffer): { digest: string; size: number } {
  return { digest: digestOf(bytes), size: bytes.length }
}

function checked(digest: string, bytes: Buffer, file: LocalFile | undefined): Buffer {
  if (digestOf(bytes) !== digest) throw new FileChanged(file?.path ?? '')
  return bytes
}

function headerOf({ path, executable, size, link }: LocalFile): Buffer {
  return link === undefined
    ? tarHeader({ type: 'file', path, mode: executable ? 0o755 : 0o644, size, mtime: MTIME })
    : tarHeader({ type: 'symlink', path, mode: 0o777, size: 0, link, mtime: MTIME })
}

function readGroup(root: string, group: readonly LocalFile[]): Buffer {
  return Buffer.concat(
    group.flatMap((file) => (file.link === undefined ? fileBytes(root, file) : [linkHeader(root, file)])),
  )
}

function fileBytes(root: string, file: LocalFile): Buffer[] {
  const content = looking(root, file, () => readFileSync(join(root, file.path)))
  if (content.length !== file.size) throw new FileChanged(file.path)
  return [headerOf(file), content, tarPadding(file.size)]
}

/** A link whose target was made relative is what it was, as long as it is a link. */
function linkHeader(root: string, file: LocalFile): Buffer {
  looking(root, file, () => readlinkSync(join(root, file.path)))
  return headerOf(file)
}

function looking<T>(root: string, file: LocalFile, look: () => T): T {
  try {
    return look()
  } catch (error) {
    throw unread(root, file, error)
  }
}

/** What it means that a file can't be read which was there a moment ago. */
function unread(root: string, { path, link }: LocalFile, error: unknown): Error {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  // What was a link says so when it no longer is one.
  const changed = ['ENOENT', 'ENOTDIR', ...(link === undefined ? [] : ['EINVAL'])]
  if (changed.includes(code)) return new FileChanged(path)
  const why = error instanceof Error ? error.message : error
  return new MirrorRefused(`${join(root, path)} can't be read: ${why}`, 'Name it in .meadowignore.')
}

async function cutLarge(root: string, file: LocalFile): Promise<{ digest: string; size: number }[]> {
  const pieces: { digest: string; size: number }[] = []
  const header = headerOf(file)
  const bytes = async function* () {
    yield header
    for (let start = 0; start < file.size; start += CHUNK) {
      const end = Math.min(start + CHUNK, file.size)
      yield await readRange(root, file, { start: header.length + start, end: header.length + end })
    }
    yield tarPadding(file.size)
  }
  for await (const piece of cut(bytes())) pieces.push(named(piece))
  return pieces
}

/** Bytes of a large file that are read at a time. */
const CHUNK = 4 * 1024 * 1024

/** Some bytes of what a file is in a tar: header, content, padding. */
async function readRange(
  root: string,
  file: LocalFile,
  { start, end }: { start: number; end: number },
): Promise<Buffer> {
  const header = headerOf(file)
  const from = Math.max(0, start - header.length)
  const to = Math.min(file.size, Math.max(0, end - header.length))
  const content = Buffer.alloc(Math.max(0, to - from))
  await using handle = await open(join(root, file.path)).catch((error: unknown) => {
    throw unread(root, file, error)
  })
  for (let at = 0; at < content.length; ) {
    const { bytesRead } = await handle.read(content, at, content.length - at, from + at)
    if (bytesRead === 0) throw new FileChanged(file.path)
    at += bytesRead
  }
  const padding = Math.max(0, end - Math.max(start, header.length + file.size))
  return Buffer.concat([header.subarray(start, end), content, Buffer.alloc(padding)])
}
