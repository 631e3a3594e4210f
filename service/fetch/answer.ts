import type { Dispatcher } from 'undici'
import { type Download, FetchFailed } from './errors.ts'

/** Bytes of an answer in JSON. */
const MAX_ANSWER = 8 * 2 ** 20

/** The answer to one request, redirects followed. */
export interface Answer {
  status: number
  header(name: string): string | undefined
  body: Dispatcher.ResponseData['body']
  url: URL
}

/** An attempt that broke off; another may go on where it ended. */
export class BrokenOff extends Error {
  override name = 'BrokenOff'
}

/**
 * The value of an answer in JSON, as anybody may have made it.
 * @throws {BrokenOff}
 * @throws {FetchFailed} when it is too long, or no JSON
 */
export async function jsonOf(download: Download, { body, url }: Answer): Promise<unknown> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > MAX_ANSWER) break
      chunks.push(chunk)
    }
  } catch (error) {
    throw new BrokenOff(`the answer broke off after ${size} bytes`, { cause: error })
  }
  if (size > MAX_ANSWER) throw new FetchFailed(download, url, `its answer has more than ${MAX_ANSWER} bytes`, false)
  try {
    return JSON.parse(Buffer.concat(chunks).toString())
  } catch {
    throw new FetchFailed(download, url, 'its answer is not JSON', false)
  }
}
