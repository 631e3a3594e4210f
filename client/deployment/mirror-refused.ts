import { HintedError } from '../../common/hinted-error.ts'
/** Local code or a local interpreter that can't be mirrored. The message names what is at fault, the hint the fix. */
export class MirrorRefused extends HintedError {
  override name = 'MirrorRefused'
}

/** A file changed between being looked at and being read. What was found out so far is worth nothing. */
export class FileChanged extends Error {
  override name = 'FileChanged'
  constructor(path: string) {
    super(`${path} changes while it is mirrored`)
  }
}
