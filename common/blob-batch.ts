/** Many small blobs in one body: for each 32 bytes of sha256, 4 bytes of length (big endian), and its bytes. */

const HEADER = 36

/** A body that is not a batch. */
export class BatchRefused extends Error {
  override name = 'BatchRefused'
  readonly hint = 'Send each blob as 32 bytes of sha256, 4 bytes of length, and its bytes.'
}

/** What stands before a blob's bytes. */
export function batchHeader(digest: string, length: number): Buffer {
  const header = Buffer.alloc(HEADER)
  header.write(digest.slice('sha256:'.length), 'hex')
  header.writeUInt32BE(length, HEADER - 4)
  return header
}

/**
 * The blobs of a batch, one after the other. Whether their digests are right is for the reader to check.
 * @throws {BatchRefused} where one has more than `most` bytes, or the body ends within one
 */
export async function* readBatch(
  source: AsyncIterable<Uint8Array>,
  most: number,
): AsyncGenerator<{ digest: `sha256:${string}`; bytes: Buffer }> {
  let waiting: Uint8Array[] = []
  let length = 0
  let wanted = HEADER
  let digest: `sha256:${string}` | undefined
  for await (const chunk of source) {
    waiting.push(chunk)
    length += chunk.length
    while (length >= wanted) {
      const all = Buffer.concat(waiting)
      const part = all.subarray(0, wanted)
      waiting = [all.subarray(wanted)]
      length -= wanted
      if (digest === undefined) {
        digest = `sha256:${part.toString('hex', 0, 32)}`
        wanted = part.readUInt32BE(32)
        if (wanted > most) throw new BatchRefused(`body: a blob of ${wanted} bytes in a batch; the most is ${most}`)
      } else {
        yield { digest, bytes: part }
        digest = undefined
        wanted = HEADER
      }
    }
  }
  if (length > 0 || digest !== undefined) throw new BatchRefused('body: the batch ends within a blob')
}
