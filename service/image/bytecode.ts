import { hash } from 'node:crypto'
import { constants, crc32, deflateRawSync } from 'node:zlib'
import type { Blobs } from '../blobs/blobs.ts'
import type { Fragment } from './fragment.ts'
import { FragmentWriter } from './fragment-writer.ts'

/**
 * Stores byte code as a fragment. It is compressed quickly: a third less time, and 8 % more bytes that never leave
 * the machines of one installation. The same files give the same fragment, whatever their order.
 * @param files paths below `/`, without a leading slash
 */
export async function bytecodeFragment(files: { path: string; content: Buffer }[], blobs: Blobs): Promise<Fragment> {
  const writer = new FragmentWriter()
  const { digest, size } = await blobs.put(members(writer, files))
  return { digest, size, ...writer.manifest }
}

async function* members(writer: FragmentWriter, files: { path: string; content: Buffer }[]): AsyncGenerator<Buffer> {
  for (const { path, content } of files.toSorted((a, b) => (a.path < b.path ? -1 : 1))) {
    yield* writer.file({
      path,
      mode: 0o644,
      size: content.length,
      deflated: [deflateRawSync(content, { level: constants.Z_BEST_SPEED })],
      sums: () => ({ crc: crc32(content), sha256: hash('sha256', content, 'hex') }),
    })
  }
  yield* writer.end()
}
