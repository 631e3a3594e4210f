import type { FileHandle } from 'node:fs/promises'

/**
 * Writes all of some bytes: a single write may take fewer than it was given, on a disk that fills up for one.
 * @param start where in the file; where it was last written to if absent
 */
export async function writeAll(file: FileHandle, bytes: Uint8Array, start?: number): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, at, bytes.length - at, start === undefined ? null : start + at)
    at += bytesWritten
  }
}
