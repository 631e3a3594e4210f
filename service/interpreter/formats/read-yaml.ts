import { type Document, LineCounter, type Node, parseDocument } from 'yaml'
import { EnvironmentFileError } from '../../../common/environment-file-error.ts'

/** A YAML file, and where in it things are. */
export interface YamlFile {
  document: Document.Parsed
  /** The line of a node, from 1; undefined for none. */
  lineOf(node: unknown): number | undefined
}

/**
 * Reads a YAML file.
 * @throws {EnvironmentFileError} with the line where it is not well formed
 */
export function readYaml(path: string, text: string, hint: string): YamlFile {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: 'silent' })
  const [error] = document.errors
  if (error) {
    const { line } = lines.linePos(error.pos[0])
    throw new EnvironmentFileError(path, line, `is no YAML: ${error.message}`, hint)
  }
  const lineOf = (node: unknown) => {
    const start = (node as Node | null | undefined)?.range?.[0]
    return start === undefined ? undefined : lines.linePos(start).line
  }
  return { document, lineOf }
}
