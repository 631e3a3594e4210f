import { requirementsClosure } from '../../../common/requirements-closure.ts'
import type { EnvironmentFiles, InterpreterSpec } from '../spec.ts'
import type { TextAt } from './conda-yaml.ts'
import type { CodeFiles } from './format.ts'

/** What pip sees of an environment.yml: a file beside it, with its lines where they are in the YAML. */
const pipFile = (file: string) => `${file}.pip.txt`

/** The `pip:` section of an environment.yml, as requirements files. */
export const condaPip = {
  /** It and all that it includes. */
  async load(code: CodeFiles, file: string, lines: TextAt[]): Promise<EnvironmentFiles> {
    if (lines.length === 0) return {}
    const path = pipFile(file)
    return await requirementsClosure(
      async (each) => (each === path ? Buffer.from(asFile(lines)) : await code.read(each)),
      path,
    )
  },

  /** As an environment of its own, on top of what conda brings. */
  spec(spec: InterpreterSpec, file: string): InterpreterSpec {
    return { ...spec, format: 'requirements.txt', path: pipFile(file) }
  },
}

function asFile(lines: TextAt[]): string {
  const rows: string[] = []
  for (const { text, line } of lines) {
    while (rows.length < line - 1) rows.push('')
    rows.push(text)
  }
  return `${rows.join('\n')}\n`
}
