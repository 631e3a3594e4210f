/** A path inside the repository as people write it (`./a/`), as it is known everywhere else (`a`); the root is empty. */
export function treePath(written: string): string {
  return written
    .replace(/^(?:\.\/+)+/, '')
    .replace(/\/+$/, '')
    .replace(/^\.$/, '')
}
