/** An environment file that can't be used as it is. The message begins with the file and line at fault. */
export class EnvironmentFileError extends Error {
  override name = 'EnvironmentFileError'
  /** Path inside the code tree. */
  readonly file: string
  /** From 1, where known. */
  readonly line: number | undefined
  /** The fix. */
  readonly hint: string
  constructor(file: string, line: number | undefined, message: string, hint: string) {
    super(line === undefined ? `${file}: ${message}` : `${file}:${line}: ${message}`)
    this.file = file
    this.line = line
    this.hint = hint
  }
}
