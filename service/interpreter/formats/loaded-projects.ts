import { posix } from 'node:path'
import type { UvSettings } from '../resolution.ts'
import type { EnvironmentFiles, InterpreterSpec } from '../spec.ts'
import { type Project, readProject } from './project.ts'
import { readToml, tableAt } from './read-toml.ts'
import { localIndexes, uvSettings } from './uv-settings.ts'
import { IS_ARCHIVE, pathSources } from './uv-sources.ts'

/** uv's own settings, which take the place of `[tool.uv]`. https://docs.astral.sh/uv/concepts/configuration-files/ */
export const UV_TOML = 'uv.toml'

/** The projects of the code that one pyproject.toml was loaded with: members of its workspace, and what they depend on. */
export class LoadedProjects {
  readonly all: Project[]
  readonly #files: EnvironmentFiles
  /** Whose settings of uv count. */
  readonly #root: Project

  /** @param path of the pyproject.toml that was named, among the files */
  constructor({ files, path }: Pick<InterpreterSpec, 'files' | 'path'>) {
    const found = Object.entries(files).filter(([file]) => posix.basename(file) === 'pyproject.toml')
    this.all = found.map(([file, text]) => readProject(file, text))
    this.#files = files
    this.#root = settingsOf(this.all, files, path)
  }

  /** @throws {EnvironmentFileError} for an index that can't be asked */
  settings(): UvSettings {
    return uvSettings(this.#root, this.#withRoot, this.#files)
  }

  /** Where they lie, and what they depend on by path; the root is empty. */
  get folders(): string[] {
    const named = this.#named.flatMap(({ kind, path }) => (kind === 'directory' ? path : []))
    const folders = [...this.all.map(({ file }) => posix.dirname(file)), ...named]
    return [...new Set(folders.map((folder) => folder.replace(/^\.$|\/$/, '')))]
  }

  /**
   * Files that are packages: what they depend on by path, and all of folders that are indexes.
   * @param paths of all files of the code
   */
  archives(paths: string[]): string[] {
    const folders = new Set(localIndexes(this.#root, this.#withRoot))
    return [
      ...this.#named.flatMap(({ kind, path }) => (kind === 'file' ? path : [])),
      ...paths.filter((path) => IS_ARCHIVE.test(path) && folders.has(posix.dirname(path))),
    ]
  }

  get #named() {
    return this.all.flatMap((project) => pathSources(project, this.#files[project.file] ?? ''))
  }

  get #withRoot(): Project[] {
    return [...new Set([...this.all, this.#root])]
  }
}

/** The root of the workspace where there is one, else the project itself; or `uv.toml` beside that, as if it were one. */
function settingsOf(projects: Project[], files: EnvironmentFiles, path: string): Project {
  const root = projects.find(
    ({ file, content }) => isAbove(file, path) && 'workspace' in tableAt(content, 'tool', 'uv'),
  )
  const file = posix.join(posix.dirname(root?.file ?? path), UV_TOML)
  const text = files[file]
  const own = root ?? projects.find((project) => project.file === path)
  if (own === undefined) throw new Error(`${path} was not loaded`)
  if (text === undefined) return own
  const uv = readToml(file, text, 'Correct this line; the file must be TOML.')
  return { file, content: { tool: { uv } }, dynamic: [], requirements: [], isPackage: false }
}

function isAbove(file: string, path: string): boolean {
  return !posix.relative(posix.dirname(file), path).startsWith('..')
}
