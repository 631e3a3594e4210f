import { posix } from 'node:path'
import { tarArchive } from '../../common/tar.ts'

/** A tar of files and their folders. */
export function tarOfFiles(files: Record<string, string | Buffer>): Buffer {
  const folders = new Set<string>()
  for (const path of Object.keys(files)) {
    for (let at = posix.dirname(path); at !== '.'; at = posix.dirname(at)) folders.add(at)
  }
  return tarArchive([
    ...[...folders].sort().map((path) => ({ path, type: 'directory' as const, mode: 0o755, mtime: 0 })),
    ...Object.entries(files).map(([path, content]) => {
      return { path, type: 'file' as const, mode: 0o644, mtime: 0, content: Buffer.from(content as string) }
    }),
  ])
}
