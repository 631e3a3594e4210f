import { json } from 'node:stream/consumers'
import type { Blobs, Digest } from './blobs.ts'

/**
 * A JSON blob that this service wrote.
 * @throws {BlobMissing}
 */
export async function readJson<T>(blobs: Blobs, digest: Digest): Promise<T> {
  return (await json(await blobs.open(digest))) as T
}

/** The same; undefined where its bytes are gone. */
export async function readJsonIfThere<T>(blobs: Blobs, digest: Digest): Promise<T | undefined> {
  return (await blobs.size(digest)) === undefined ? undefined : await readJson<T>(blobs, digest)
}
