import { posix } from 'node:path'
import { EnvironmentFileError } from '../../../common/environment-file-error.ts'
import { environmentText } from '../../../common/environment-text.ts'
import type { EnvironmentFiles } from '../spec.ts'
import type { CodeFiles } from './format.ts'
import { lineOfText, type Project, readProject } from './project.ts'
import { isTable, tableAt, texts } from './read-toml.ts'

/** Of a file that is a package, not a project's folder. */
export const IS_ARCHIVE = /\.(?:whl|zip|tgz|tar\.\w+)$/
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

/** What a path of `[tool.uv.sources]` leads to: a folder with a project, or a file. */
export interface PathSource {
  kind: 'directory' | 'file'
  /** Inside the code tree. */
  path: string
  /** As it is written. */
  written: string
  line: number
}

/**
 * What `[tool.uv.sources]` names by path.
 * @throws {EnvironmentFileError} where one leads out of the code tree
 */
export function pathSources({ file, content }: Project, text: string): PathSource[] {
  const sources = Object.values(tableAt(content, 'tool', 'uv', 'sources'))
    .flat()
    .filter(isTable)
  const paths = sources.flatMap(({ path }) => (typeof path === 'string' ? path : []))
  return paths.map((written) => {
    const line = lineOfText(text, written)
    const kind = IS_ARCHIVE.test(written) ? 'file' : 'directory'
    return { kind, path: insideTree(file, line, written), written, line }
  })
}

/** The pyproject.toml files of the folders that `[tool.uv.sources]` names. */
function sourcesOf(file: string, text: string): string[] {
  const folders = pathSources(readProject(file, text), text).filter(({ kind }) => kind === 'directory')
  return folders.map(({ path }) => posix.join(path, 'pyproject.toml'))
}

/**
 * The root of the workspace that a project is a member of, with the other members: what uv finds above it.
 * @returns paths of pyproject.toml files; none where it is no member
 */
export async function workspaceAbove(code: CodeFiles, path: string): Promise<string[]> {
  for (let folder = posix.dirname(path); folder !== '.'; ) {
    folder = posix.dirname(folder)
    const root = posix.join(folder, 'pyproject.toml')
    const bytes = await code.read(root)
    if (bytes === undefined) continue
    const members = await workspaceMembers(code, root, environmentText(root, bytes))
    if (members.includes(path)) return [root, ...members]
  }
  return []
}

/**
 * The uv.lock that "uv run" takes for a project: that of the workspace which it is a member of, else its own.
 * @returns undefined where it has none
 */
export async function lockOfWorkspace(code: CodeFiles, path: string): Promise<string | undefined> {
  const there = new Set(await code.paths())
  const lockBeside = (project: string) => posix.join(posix.dirname(project), 'uv.lock')
  const locks = [...there].some((each) => posix.basename(each) === 'uv.lock')
  if (!locks || !there.has(path)) return undefined
  const [root = path] = await workspaceAbove(code, path)
  return there.has(lockBeside(root)) ? lockBeside(root) : undefined
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
