import { createHash } from 'node:crypto'
import { promisify } from 'node:util'
import { crc32, createDeflateRaw, deflateRaw } from 'node:zlib'
import type { Blobs } from '../blobs/blobs.ts'
import type { Fragment } from './fragment.ts'
import { type FragmentManifest, FragmentWriter } from './fragment-writer.ts'
import { ENVIRONMENT } from './skeleton.ts'
import { PlanRefused } from './tree.ts'

const compress = promisify(deflateRaw)

/** As for byte code: most of a large package is machine code, of which more effort makes little less. */
const LEVEL = 3
/** Bytes of a file that is compressed in one piece. */
const WHOLE = 4 * 2 ** 20

/** One file or link of a linked package, its path inside the environment. Contents are read once, in order. */
export interface CondaFile {
  path: string
  mode: number
  /** Seconds since 1970; 0 where it has no time of its own. */
  mtime: number
  link?: string
  size: number
  content: () => AsyncIterable<Buffer>
}

/**
 * Stores the files of a linked conda package as a fragment. Files keep the times that the package gives them, as the
 * byte code that packages bring is checked against those.
 * @throws {PlanRefused} naming package and path
 */
export async function condaFragment(name: string, files: CondaFile[], blobs: Blobs): Promise<Fragment> {
  const manifest = Promise.withResolvers<FragmentManifest>()
  const { digest, size } = await blobs.put(members(name, files, manifest.resolve))
  return { digest, size, ...(await manifest.promise) }
}

async function* members(
  name: string,
  files: CondaFile[],
  onEnd: (manifest: FragmentManifest) => void,
): AsyncGenerator<Buffer, void, undefined> {
  const writer = new FragmentWriter()
  const seen = new Set<string>()
  for (const file of files) check(name, file, seen)
  yield* writer.begin(files.map(({ path }) => `${ENVIRONMENT}/${path}`))
  for (const file of files) {
    const { mode, mtime, link, size } = file
    const path = `${ENVIRONMENT}/${file.path}`
    const time = mtime > 0 ? { mtime } : {}
    if (link !== undefined) {
      yield* writer.link({ path, link, ...time })
      continue
    }
    const sums = { crc: 0, hash: createHash('sha256') }
    const deflated = (onContent: (bytes: Buffer) => void) => {
      const counted = counting(file.content(), sums, onContent)
      return size <= WHOLE ? inOnePiece(counted) : compressed(counted)
    }
    yield* writer.file({
      ...{ path, mode: mode & 0o111 ? 0o755 : 0o644, size, deflated, ...time },
      sums: () => ({ crc: sums.crc, sha256: sums.hash.digest('hex') }),
    })
  }
  onEnd(yield* writer.end())
}

interface Sums {
  crc: number
  hash: ReturnType<typeof createHash>
}

async function* counting(
  content: AsyncIterable<Buffer>,
  sums: Sums,
  onContent: (bytes: Buffer) => void,
): AsyncGenerator<Buffer> {
  for await (const piece of content) {
    onContent(piece)
    sums.crc = crc32(piece, sums.crc)
    sums.hash.update(piece)
    yield piece
  }
}

async function* inOnePiece(content: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of content) pieces.push(piece)
  yield await compress(Buffer.concat(pieces), { level: LEVEL })
}

async function* compressed(content: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const deflate = createDeflateRaw({ level: LEVEL, chunkSize: 2 ** 18 })
  const fed = (async () => {
    for await (const piece of content) {
      if (!deflate.write(piece)) await new Promise((resolve) => deflate.once('drain', resolve))
    }
    deflate.end()
  })()
  fed.catch((error) => deflate.destroy(error))
  yield* deflate as AsyncIterable<Buffer>
  await fed
}

/** Said by a container that has read what a stranger packed. */
function check(name: string, { path, link, mtime }: CondaFile, seen: Set<string>): void {
  const refuse = (why: string) => {
    throw new PlanRefused(`${name} has ${JSON.stringify(path)}: ${why}`, 'use another build or version of that package')
  }
  const parts = path.split('/')
  if (path.includes('\0') || parts.some((part) => part === '' || part === '.' || part === '..')) {
    refuse('it is no path inside the environment')
  }
  if (parts.some((part) => part.startsWith('.wh.'))) refuse('such names delete files of layers below')
  if (path === 'pyvenv.cfg') refuse('it would turn the environment into another')
  if (link !== undefined && (link === '' || link.includes('\0'))) refuse('it is a link to nothing')
  if (mtime < 0 || mtime > 2 ** 32) refuse('it has a time that is none')
  if (seen.has(path)) refuse('it is there twice')
  seen.add(path)
}
