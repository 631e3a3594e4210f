import { HintedError } from './hinted-error.ts'

/** A fault of an environment file, or of what it asks for. The message begins with the file and line. */
export class FileError extends HintedError {
  /** Path inside the code tree. */
  readonly file: string
  /** From 1, where known. */
  readonly line: number | undefined
  constructor(file: string, line: number | undefined, message: string, hint: string) {
    super(line === undefined ? `${file}: ${message}` : `${file}:${line}: ${message}`, hint)
    this.file = file
    this.line = line
  }
}

/** An environment file that can't be used as it is. */
export class EnvironmentFileError extends FileError {
  override name = 'EnvironmentFileError'
}
