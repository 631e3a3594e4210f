import { EnvironmentFileError } from '../../../common/environment-file-error.ts'
import { environmentText } from '../../../common/environment-text.ts'
import type { CodeFiles } from './format.ts'

/**
 * The text of a file that must be there.
 * @throws {EnvironmentFileError} where it is missing or no text
 */
export async function requiredText(
  code: CodeFiles,
  path: string,
  hint = 'Commit it, or correct "interpreter".',
): Promise<string> {
  const bytes = await code.read(path)
  if (bytes === undefined) throw new EnvironmentFileError(path, undefined, 'there is no such file', hint)
  return environmentText(path, bytes)
}
