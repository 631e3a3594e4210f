import { posix } from 'node:path'
import { EnvironmentFileError } from './environment-file-error.ts'
import { environmentText } from './environment-text.ts'
import { type LineOption, lineOption, requirementLines } from './requirement-lines.ts'
import { withoutCredentials } from './without-credentials.ts'

/** More files than this are a mistake or an attack. */
const MAX_FILES = 500

/** A `-r` or `-c` of a requirements file. */
interface Reference {
  line: number
  option: string
  /** As it is written. */
  target: string
  /** From the root. */
  path: string
}

/**
 * A requirements file and all that it includes by `-r` and `-c`, by path, as decoded text. Options and lines as pip reads
 * them: https://pip.pypa.io/en/stable/reference/requirements-file-format/
 * @param read gives a file of the code tree, or undefined where there is none
 * @throws {EnvironmentFileError} naming file and line: what isn't there, leads outside, is a URL or includes itself
 */
export async function requirementsClosure(
  read: (path: string) => Promise<Uint8Array | undefined>,
  path: string,
): Promise<Record<string, string>> {
  const files = new Map<string, string>()
  const visit = async (file: string, chain: readonly string[]): Promise<boolean> => {
    if (files.has(file)) return true
    const bytes = await read(file)
    if (bytes === undefined) return false
    const text = environmentText(file, bytes)
    files.set(file, text)
    for (const reference of references(file, text)) {
      const target = insideTree(file, reference)
      const fail = (message: string, hint: string) => new EnvironmentFileError(file, reference.line, message, hint)
      if (files.size >= MAX_FILES) throw fail(`more than ${MAX_FILES} files are included`, 'Include fewer.')
      const circle = [...chain, file].indexOf(target)
      if (circle >= 0) {
        const way = [...[...chain, file].slice(circle), target].join(' -> ')
        throw fail(`${reference.option} ${reference.target} goes in a circle: ${way}`, 'Take one of these lines out.')
      }
      if (!(await visit(target, [...chain, file]))) {
        throw fail(
          `${reference.option} ${reference.target}: there is no ${target}`,
          'Commit that file, or take the line out. The name is relative to the file that includes it.',
        )
      }
    }
    return true
  }
  if (!(await visit(path, []))) {
    throw new EnvironmentFileError(path, undefined, 'there is no such file', 'Commit it, or correct "interpreter".')
  }
  return Object.fromEntries([...files].sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** The file that a `-r` or `-c` names, from the root as the file is that it stands in; undefined for other options. */
export function includedBy(
  file: string,
  { name, words: [target] }: LineOption,
): { path: string; constraint: boolean } | undefined {
  const constraint = name === '-c' || name === '--constraint'
  if (target === undefined || !(constraint || name === '-r' || name === '--requirement')) return undefined
  return { path: posix.normalize(posix.join(posix.dirname(file), target)), constraint }
}

function insideTree(file: string, { line, option, target, path }: Reference): string {
  const said = `${option} ${withoutCredentials(target)}`
  const fail = (why: string, hint: string) => new EnvironmentFileError(file, line, `${said} ${why}`, hint)
  if (/^[a-z][a-z0-9+.-]*:\/?\//i.test(target)) throw fail('is a URL', 'Commit that file and include it by its path.')
  if (target.includes('\\')) throw fail('has a backslash', 'Write / between the parts of a path.')
  // The resolver reads these files too, and to it they mean something else than a part of a name.
  if (/["'#\p{Cc}]|\$\{/u.test(target)) throw fail('has a quote, # or ${ in its name', 'Give that file another name.')
  if (target.startsWith('/') || path.startsWith('../') || path === '..') {
    throw fail('leads outside the repository', 'Include only files of the repository, by relative paths.')
  }
  return path
}

/** The `-r` and `-c` lines of a requirements file, in order. */
function references(file: string, text: string): Reference[] {
  return requirementLines(text).flatMap(({ line, text }) => {
    const option = lineOption(text)
    const included = option && includedBy(file, option)
    return included ? [{ line, option: option.name, target: option.words[0] ?? '', path: included.path }] : []
  })
}
