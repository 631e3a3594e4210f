import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { join, posix, relative, sep } from 'node:path'
import { environmentText } from '../../common/environment-text.ts'
import { lineOption, requirementLines } from '../../common/requirement-lines.ts'
import { leftOut } from './ignored.ts'

const ARCHIVE = /\.(?:whl|zip|tar\.\w+|tgz)$/i
/** What makes a folder a project. */
const DESCRIPTIONS = ['pyproject.toml', 'setup.py', 'setup.cfg']
/** Environment files of other formats. */
const OTHER = /\.(?:toml|lock|ya?ml)$/
const EDITABLE = ['-e', '--editable']
const FIND_LINKS = ['-f', '--find-links']

/**
 * What lines of requirements files ask for by paths: wheels and other archives, and folders of projects. Nothing else is
 * given, whatever lines say and links lead to: who writes them does not choose which files are sent.
 * @param files environment files, inside the project
 * @param folder where such paths may begin too: the working directory, inside the project
 * @returns paths inside the project of what is there
 * @throws {EnvironmentFileError} for a file that is no text
 */
export function namedPaths(project: string, files: readonly string[], folder: string): string[] {
  const found = new Set<string>()
  for (const file of files.filter((each) => !OTHER.test(each))) {
    for (const { text } of requirementLines(environmentText(file, readFileSync(join(project, file))))) {
      const { path, links } = pathOf(text)
      for (const base of path === '' ? [] : ['', folder, posix.dirname(file)]) {
        for (const each of installable(project, posix.join(base, path), links)) found.add(each)
      }
    }
  }
  return [...found]
}

/** The path that a line names, as it is written; empty where it is none. */
function pathOf(line: string): { path: string; links: boolean } {
  const option = lineOption(line)
  const links = option !== undefined && FIND_LINKS.includes(option.name)
  if (option && !links && !EDITABLE.includes(option.name)) return { path: '', links }
  const requirement = (option?.words[0] ?? line).replace(/^[a-z0-9][\w.-]*\s*(?:\[[^\]]*\]\s*)?@\s*/i, '')
  const target = requirement.split(/\s|\[|;/, 1)[0] ?? ''
  if (!option && !target.includes('/') && !ARCHIVE.test(target)) return { path: '', links }
  return { path: target.replace(/^(?:file:)?(?:\/{0,3}\$\{PROJECT_ROOT\}\/?)?/i, ''), links }
}

/** @param links whether the archives in a folder are meant, and not the folder */
function installable(project: string, path: string, links: boolean): string[] {
  const at = join(project, path)
  if (!isPlain(path) || !existsSync(at)) return []
  if (!statSync(at).isDirectory()) return isArchive(at) ? [path] : []
  const names = readdirSync(at)
  if (links) return names.filter((name) => isArchive(join(at, name))).map((name) => posix.join(path, name))
  const real = relative(project, realpathSync(at)).replaceAll(sep, '/')
  return isPlain(real) && DESCRIPTIONS.some((name) => names.includes(name)) ? [real] : []
}

function isArchive(path: string): boolean {
  return existsSync(path) && statSync(path).isFile() && ARCHIVE.test(path) && ARCHIVE.test(realpathSync(path))
}

/** Whether a path is inside, and none of git's own or a cache. */
function isPlain(path: string): boolean {
  const parts = path.split('/')
  return !/^(?:[/~]|[a-z]:)/i.test(path) && !parts.some((part) => part === '..' || leftOut(part, () => false))
}
