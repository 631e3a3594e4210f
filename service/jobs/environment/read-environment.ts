import { createHash } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import type { CodeRequest } from '../../../common/contract.ts'
import type { Blobs, Digest } from '../../blobs/blobs.ts'
import type { Code } from '../../source/source.ts'

/** Environment files are text that people or tools write; lock files of large projects have a few MB. */
const MOST_BYTES = 32 * 2 ** 20

/** The files that environments may be made of: those of the commit, and uploaded ones in front of them. */
export interface EnvironmentReader {
  paths(): Promise<string[]>
  /** Undefined where there is no such file. */
  read(path: string): Promise<Buffer | undefined>
  /** Hex sha256; undefined where there is no such file. */
  hash(path: string): Promise<string | undefined>
}

/** Reads from a commit's bundle, and what was uploaded beside it. */
export function environmentReader(code: Code, request: CodeRequest, blobs: Blobs): EnvironmentReader {
  const uploaded = new Map(Object.entries(request['environment-files'] ?? {}))
  return {
    paths: async () => [...new Set([...(await code.tree.paths()), ...uploaded.keys()])],
    read: async (path) => {
      const digest = uploaded.get(path) as Digest | undefined
      if (digest === undefined) return await code.tree.read(path)
      const size = (await blobs.size(digest)) ?? 0
      if (size > MOST_BYTES)
        throw new Error(`${path}: ${size} bytes, and ${MOST_BYTES} is the most for an environment file`)
      return await buffer(await blobs.open(digest))
    },
    hash: async (path) => {
      const digest = uploaded.get(path)
      if (digest !== undefined) return digest.replace('sha256:', '')
      const content = await code.tree.open(path)
      if (content === undefined) return undefined
      const hash = createHash('sha256')
      for await (const chunk of content) hash.update(chunk)
      return hash.digest('hex')
    },
  }
}
