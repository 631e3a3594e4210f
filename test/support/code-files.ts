import { createHash } from 'node:crypto'
import type { CodeFiles } from '../../service/interpreter/formats/format.ts'

/** A code tree of some text files. */
export function codeFiles(files: Record<string, string | Buffer>): CodeFiles {
  return {
    paths: async () => Object.keys(files).sort(),
    read: async (path) => (path in files ? Buffer.from(files[path] as string) : undefined),
    hash: async (path) => {
      return path in files
        ? createHash('sha256')
            .update(files[path] as string)
            .digest('hex')
        : undefined
    },
  }
}
