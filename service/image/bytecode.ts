import { hash } from 'node:crypto'
import { Readable } from 'node:stream'
import { promisify } from 'node:util'
import { crc32, deflateRaw } from 'node:zlib'
import type { Blobs } from '../blobs/blobs.ts'
import type { Fragment } from './fragment.ts'
import { type FragmentFile, FragmentWriter } from './fragment-writer.ts'

const compress = promisify(deflateRaw)

/** Measured on byte code: 6 takes nearly twice the time for 6 % fewer bytes, 1 saves a sixth of the time for 5 % more. */
const LEVEL = 3

/** Files that are compressed at the same time, in the pool of threads: as many as that has. */
const AT_ONCE = 4

/**
 * Stores byte code as a fragment. The same files give the same fragment, whatever their order.
 * @param files paths below `/`, without a leading slash
 */
export async function bytecodeFragment(files: { path: string; content: Buffer }[], blobs: Blobs): Promise<Fragment> {
  const writer = new FragmentWriter()
  const { digest, size } = await blobs.put(members(writer, files))
  return { digest, size, ...writer.manifest }
}

async function* members(writer: FragmentWriter, files: { path: string; content: Buffer }[]): AsyncGenerator<Buffer> {
  const sorted = files.toSorted((a, b) => (a.path < b.path ? -1 : 1))
  const compressed: AsyncIterable<FragmentFile> = Readable.from(sorted).map(toFragmentFile, { concurrency: AT_ONCE })
  for await (const file of compressed) yield* writer.file(file)
  yield* writer.end()
}

async function toFragmentFile({ path, content }: { path: string; content: Buffer }): Promise<FragmentFile> {
  const deflated = [await compress(content, { level: LEVEL })]
  const sums = () => ({ crc: crc32(content), sha256: hash('sha256', content, 'hex') })
  return { path, mode: 0o644, size: content.length, deflated, sums }
}
