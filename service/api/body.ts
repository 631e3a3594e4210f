import type { IncomingMessage } from 'node:http'
import { ApiError } from './errors.ts'
import { tooLarge } from './limits.ts'

/**
 * The body of a request as it was sent.
 * @throws {ApiError} 413 where it has more bytes, before it is read where it says so; 415 where it is packed
 */
export async function readBody(request: IncomingMessage, most: number): Promise<Buffer> {
  const { 'content-length': length = '0', 'content-encoding': coding = 'identity' } = request.headers
  if (Number(length) > most) throw tooLarge(most)
  if (coding.toLowerCase() !== 'identity')
    throw new ApiError(415, 'encoding-unsupported', 'body: content encoding unsupported', 'Send plain UTF-8.')
  return await new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    const take = (chunk: Buffer) => {
      size += chunk.length
      if (size <= most) return void chunks.push(chunk)
      request.off('data', take).pause()
      reject(tooLarge(most))
    }
    request
      .on('data', take)
      .once('end', () => resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)))
      .once('error', () =>
        reject(new ApiError(400, 'aborted', 'body: it ended before its content-length', 'Send all of it.')),
      )
  })
}
