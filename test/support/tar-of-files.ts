import { posix } from 'node:path'
import { tarArchive } from '../../common/tar.ts'

/** A tar of files, links (target by path) and their folders. */
export function tarOfFiles(files: Record<string, string | Buffer>, links: Record<string, string> = {}): Buffer {
  const folders = new Set<string>()
  for (const path of [...Object.keys(files), ...Object.keys(links)]) {
    for (let at = posix.dirname(path); at !== '.'; at = posix.dirname(at)) folders.add(at)
  }
  return tarArchive([
    ...[...folders].sort().map((path) => ({ path, type: 'directory' as const, mode: 0o755, mtime: 0 })),
    ...Object.entries(files).map(([path, content]) => {
      return { path, type: 'file' as const, mode: 0o644, mtime: 0, content: Buffer.from(content as string) }
    }),
    ...Object.entries(links).map(([path, link]) => {
      return { path, type: 'symlink' as const, link, mode: 0o777, mtime: 0 }
    }),
  ])
}
