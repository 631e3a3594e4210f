import { HintedError } from './hinted-error.ts'
/** A commit whose tree can't become a bundle. The message names the path at fault, the hint the fix. */
export class BundleRefused extends HintedError {
  override name = 'BundleRefused'
  readonly code: 'name' | 'link' | 'size' | 'order' | 'missing-object' | 'proof'
  /** Inside the tree; undefined where the whole is at fault. */
  readonly path: string | undefined
  constructor(code: BundleRefused['code'], path: string | undefined, message: string, hint: string) {
    super(path === undefined ? message : `${JSON.stringify(path)} ${message}`, hint)
    this.code = code
    this.path = path
  }
}
