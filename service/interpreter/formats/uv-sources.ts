import { posix } from 'node:path'
import { EnvironmentFileError } from '../../../common/environment-file-error.ts'
import { environmentText } from '../../../common/environment-text.ts'
import type { EnvironmentFiles } from '../spec.ts'
import type { CodeFiles } from './format.ts'
import { lineOfText, readProject } from './project.ts'
import { isTable, tableAt, texts } from './read-toml.ts'

/** More projects than this in one workspace are a mistake or an attack. */
const MOST_PROJECTS = 500

/**
 * A pyproject.toml with those of the members of its workspace and of what it depends on by path, as far as they are in
 * the code tree, by path. https://docs.astral.sh/uv/concepts/projects/dependencies/#dependency-sources
 * @throws {EnvironmentFileError} where one leads outside of it, or is not well formed
 */
export async function withLocalProjects(code: CodeFiles, root: string, text: string): Promise<EnvironmentFiles> {
  const files = { [root]: text }
  const waiting = [...sourcesOf(root, text), ...(await workspaceMembers(code, root, text))]
  await addProjects(code, files, waiting)
  return files
}

/** Adds these pyproject.toml files where they are there, and what they depend on by path. */
export async function addProjects(code: CodeFiles, files: EnvironmentFiles, paths: string[]): Promise<void> {
  for (let path = paths.shift(); path !== undefined; path = paths.shift()) {
    if (path in files) continue
    const bytes = await code.read(path)
    if (bytes === undefined) continue
    if (Object.keys(files).length >= MOST_PROJECTS) {
      throw new EnvironmentFileError(path, undefined, `is one of more than ${MOST_PROJECTS} projects`, 'Have fewer.')
    }
    const text = environmentText(path, bytes)
    files[path] = text
    paths.push(...sourcesOf(path, text))
  }
}

/**
 * A path as it is written in a file, inside the code tree.
 * @throws {EnvironmentFileError}
 */
export function insideTree(file: string, line: number | undefined, written: string): string {
  const path = posix.join(posix.dirname(file), written)
  if (written.startsWith('/') || path === '..' || path.startsWith('../')) {
    const hint = 'Move it into the repository, or depend on a release of it.'
    throw new EnvironmentFileError(file, line, `${written} lies outside the repository`, hint)
  }
  return path
}

/** The projects that `[tool.uv.sources]` names by path. */
function sourcesOf(file: string, text: string): string[] {
  const sources = tableAt(readProject(file, text).content, 'tool', 'uv', 'sources')
  const paths = Object.values(sources)
    .flat()
    .flatMap((source) => (isTable(source) && typeof source.path === 'string' ? source.path : []))
  const folders = paths.filter((path) => !/\.(?:whl|zip|tgz|tar\.\w+)$/.test(path))
  return folders.map((path) => posix.join(insideTree(file, lineOfText(text, path), path), 'pyproject.toml'))
}

/** By the globs of `[tool.uv.workspace]`. */
async function workspaceMembers(code: CodeFiles, root: string, text: string): Promise<string[]> {
  const workspace = tableAt(readProject(root, text).content, 'tool', 'uv', 'workspace')
  const folder = posix.dirname(root)
  const globs = (list: unknown) => texts(list).map((glob) => posix.join(folder, glob, 'pyproject.toml'))
  const [members, excluded] = [globs(workspace.members), globs(workspace.exclude)]
  if (members.length === 0) return []
  const matches = (path: string, list: string[]) => list.some((glob) => posix.matchesGlob(path, glob))
  const paths = (await code.paths()).filter((each) => each.endsWith('/pyproject.toml'))
  return paths.filter((each) => matches(each, members) && !matches(each, excluded))
}
