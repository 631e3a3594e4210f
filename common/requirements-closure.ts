import { posix } from 'node:path'
import { EnvironmentFileError } from './environment-file-error.ts'
import { environmentText } from './environment-text.ts'
import { requirementLines } from './requirement-lines.ts'

/** More files than this are a mistake or an attack. */
const MAX_FILES = 500

/** A `-r` or `-c` of a requirements file. */
interface Reference {
  line: number
  option: string
  target: string
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
    for (const reference of references(text)) {
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

function insideTree(file: string, { line, option, target }: Reference): string {
  const fail = (why: string, hint: string) => new EnvironmentFileError(file, line, `${option} ${target} ${why}`, hint)
  if (/^[a-z][a-z0-9+.-]*:\/?\//i.test(target)) throw fail('is a URL', 'Commit that file and include it by its path.')
  if (target.includes('\\')) throw fail('has a backslash', 'Write / between the parts of a path.')
  const path = posix.normalize(posix.join(posix.dirname(file), target))
  if (target.startsWith('/') || path.startsWith('../') || path === '..') {
    throw fail('leads outside the repository', 'Include only files of the repository, by relative paths.')
  }
  return path
}

/** The `-r` and `-c` lines of a requirements file, in order. */
function references(text: string): Reference[] {
  return requirementLines(text).flatMap(({ line, text }) => {
    const match = /^(-r|-c|--requirement|--constraint)(?:\s*=\s*|\s+|(?<=^-[rc]))(\S.*)$/.exec(text)
    const [, option, rest] = match ?? []
    return option && rest ? [{ line, option, target: unquoted(rest) }] : []
  })
}

/** The first word, with the quotes of a shell taken off: pip splits such lines as a shell does. */
function unquoted(text: string): string {
  const match = /^(?:"([^"]*)"|'([^']*)'|(\S+))/.exec(text)
  return match?.[1] ?? match?.[2] ?? match?.[3] ?? text
}
