import { posix } from 'node:path'
import type { TomlTable } from 'smol-toml'
import { EnvironmentFileError } from '../../../common/environment-file-error.ts'
import type { EnvironmentFiles } from '../spec.ts'
import type { Place } from './format.ts'
import { gitEntry, gitRequirement } from './git-sources.ts'
import { lineAt } from './lock-places.ts'
import { lineOfText, type Project } from './project.ts'
import { isTable, tableAt } from './read-toml.ts'
import { checkRequirement } from './requirement-checks.ts'
import { parseRequirement } from './requirement-lines.ts'
import { isPath } from './requirement-sources.ts'
import { pathSources } from './uv-sources.ts'

/**
 * @param there paths of files in the code tree
 * @throws {EnvironmentFileError} where the file does not say what the project needs
 */
export function checkProject(
  { file, name, content, dynamic }: Project,
  text: string,
  there: ReadonlySet<string>,
): void {
  const fail = (line: number | undefined, message: string, hint: string) =>
    new EnvironmentFileError(file, line, message, hint)
  const unlocked = poetryAlone(name, content)
  if (unlocked !== undefined) {
    const lock = posix.join(posix.dirname(file), 'poetry.lock')
    const line = lineAt(text, /^\[\[?tool\.poetry/m.exec(text)?.index)
    if (there.has(lock)) {
      throw fail(line, `${unlocked}, and ${lock} is not what was named`, `Name ${lock} as "interpreter".`)
    }
    throw fail(
      line,
      `${unlocked}, and there is no poetry.lock beside it`,
      'Run "poetry lock" and commit poetry.lock; or move all of it to [project], as the standard has it.',
    )
  }
  if (name === undefined && Object.keys(tableAt(content, 'dependency-groups')).length === 0) {
    throw fail(
      lineAt(text, /^\[\s*project\s*\]/m.exec(text)?.index),
      'it has no [project] with a name, and no [dependency-groups]: nothing says what is to be installed',
      'Add a [project] with name, version and dependencies, or name another file with the input "interpreter".',
    )
  }
  const unknown = dynamicNeed({ dynamic })
  // A backend that is named can be asked.
  if (unknown !== undefined && !('build-system' in content)) {
    throw fail(
      lineAt(text, /^dynamic\s*=/m.exec(text)?.index),
      `${unknown} is dynamic: only the project's build backend knows what it needs, and there is no [build-system]`,
      `Add the [build-system], or write ${unknown} into [project], or name a requirements file as "interpreter".`,
    )
  }
}

/** What a project needs, as far as only its build backend knows it: the name of the field. */
export function dynamicNeed({ dynamic }: Pick<Project, 'dynamic'>): string | undefined {
  return dynamic.find((field) => field === 'dependencies' || field === 'optional-dependencies')
}

/** What a project says to poetry alone, and nobody else could follow. */
function poetryAlone(name: string | undefined, content: TomlTable): string | undefined {
  const poetry = tableAt(content, 'tool', 'poetry')
  if (Object.keys(poetry).length === 0) return undefined
  if (name === undefined) return 'only [tool.poetry] says what this project needs'
  const { python: _, ...dependencies } = tableAt(poetry, 'dependencies')
  const [more] = Object.keys(dependencies)
  if (more !== undefined) return `[tool.poetry.dependencies] says what [project] does not, of ${more} for one`
  if ('source' in poetry) return '[[tool.poetry.source]] says to poetry alone which index packages come from'
  return undefined
}

/**
 * Checks where the packages of projects come from, as far as that goes without asking anybody.
 * @param there paths of files in the code tree
 * @throws {EnvironmentFileError}
 */
export function checkSources(projects: Project[], files: EnvironmentFiles, there: ReadonlySet<string>): void {
  for (const project of projects) {
    const text = files[project.file] ?? ''
    for (const source of pathSources(project, text)) {
      const isThere =
        source.kind === 'file'
          ? there.has(source.path)
          : ['pyproject.toml', 'setup.py', 'setup.cfg'].some((name) => there.has(posix.join(source.path, name)))
      if (isThere) continue
      throw new EnvironmentFileError(
        project.file,
        source.line,
        source.kind === 'file'
          ? `${source.written}: there is no such file in the repository`
          : `${source.written}: there is no project in that folder of the repository`,
        'Commit it, or correct the path.',
      )
    }
    for (const [name, entry] of sourceEntries(project)) {
      const place = { file: project.file, line: lineOfText(text, String(entry.git ?? entry.url ?? name)) }
      gitEntry(place, entry)
      if (typeof entry.url === 'string')
        checkRequirement(place, { name, text: name, specifier: '', options: [] }, entry.url)
    }
    for (const { text: written, file, line } of project.requirements) checkTarget({ file, line }, written)
  }
}

function checkTarget(place: Place, written: string): void {
  const parsed = parseRequirement(written)
  const { name = '', target } = parsed
  if (target === undefined || gitRequirement(place, written)) return
  // Backends have words of their own for the project's folder, which they put a URL in place of.
  if (isPath(target) && !target.includes('{root:')) {
    throw new EnvironmentFileError(
      place.file,
      place.line,
      `${parsed.text}: a requirement may name a URL here, and no path`,
      `Ask for ${name} by its name, and say in [tool.uv.sources] where it is: ${name} = { path = "folder/of/${name}" }.`,
    )
  }
  checkRequirement(place, parsed, target)
}

function sourceEntries({ content }: Project) {
  const sources = Object.entries(tableAt(content, 'tool', 'uv', 'sources'))
  return sources.flatMap(([name, entries]) =>
    [entries]
      .flat()
      .filter(isTable)
      .map((entry) => [name, entry] as const),
  )
}
