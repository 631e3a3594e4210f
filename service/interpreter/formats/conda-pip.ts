import { posix } from 'node:path'
import { requirementsClosure } from '../../../common/requirements-closure.ts'
import type { EnvironmentFiles, InterpreterSpec } from '../spec.ts'
import type { TextAt } from './conda-yaml.ts'
import type { CodeFiles } from './format.ts'

/** What pip sees of an environment.yml: a file beside it, with its lines where they are in the YAML. */
const pipFile = (file: string) => `${file}.pip.txt`
/** The Python packages that conda brings: pip installs nothing in their place. */
const givenFile = (file: string) => `${file}.conda.txt`

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
  spec(spec: InterpreterSpec, file: string, lines: TextAt[], provided: Record<string, string>): InterpreterSpec {
    const given = Object.entries(provided).map(([name, version]) => `${name}==${version}\n`)
    const { [spec.path]: _yaml, ...files } = spec.files
    return {
      ...spec,
      format: 'requirements.txt',
      path: pipFile(file),
      files: {
        ...files,
        [pipFile(file)]: `${asFile(lines)}-c ${posix.basename(givenFile(file))}\n`,
        [givenFile(file)]: given.join(''),
      },
    }
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
