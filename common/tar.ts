/** One entry of a tar (POSIX.1-1988 ustar, with a pax header where a field does not fit). */
export interface TarEntry {
  /** Without a leading slash; folders may but need not end in one. */
  path: string
  type: 'file' | 'directory' | 'symlink'
  /** Permission bits. */
  mode: number
  /** Bytes of content; 0 for folders and links. */
  size: number
  /** Target of a symbolic link. */
  link?: string
  /** Seconds since 1970. */
  mtime: number
}
