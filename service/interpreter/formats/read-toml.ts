import { parse, TomlError, type TomlTable } from 'smol-toml'
import { EnvironmentFileError } from '../../../common/environment-file-error.ts'

/**
 * A TOML file's contents.
 * @throws {EnvironmentFileError} with the line where it is not well formed
 */
export function readToml(path: string, text: string, hint: string): TomlTable {
  try {
    return parse(text)
  } catch (error) {
    // Hostile nesting overflows the parser's stack.
    if (error instanceof RangeError) throw new EnvironmentFileError(path, undefined, 'is nested too deeply', hint)
    if (!(error instanceof TomlError)) throw error
    // What follows the first line shows the place in the file.
    const [said = ''] = error.message.split('\n')
    throw new EnvironmentFileError(path, error.line, said, hint)
  }
}

/** A table of a TOML file where there is one, else an empty one. */
export function tableAt(table: TomlTable, ...keys: string[]): TomlTable {
  let found: unknown = table
  for (const key of keys) found = isTable(found) ? found[key] : undefined
  return isTable(found) ? found : {}
}

/** Whether a value of a TOML file is a table. */
export function isTable(value: unknown): value is TomlTable {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)
}

/** A list of text; what is no text is left out. */
export function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : []
}
