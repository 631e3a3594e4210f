/** A commit whose tree can't become a bundle. The message names the path at fault, the hint the fix. */
export class BundleRefused extends Error {
  override name = 'BundleRefused'
  readonly code: 'name' | 'link' | 'size' | 'order' | 'missing-object' | 'proof'
  /** Inside the tree; undefined where the whole is at fault. */
  readonly path: string | undefined
  readonly hint: string
  constructor(code: BundleRefused['code'], path: string | undefined, message: string, hint: string) {
    super(path === undefined ? message : `${JSON.stringify(path)} ${message}`)
    this.code = code
    this.path = path
    this.hint = hint
  }
}
