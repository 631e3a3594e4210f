import { posix } from 'node:path'
import { Readable } from 'node:stream'
import { readTar } from '../../common/read-tar.ts'
import { TAR_END, tarHeader, tarPadding } from '../../common/tar.ts'
import type { FilesRequest, LocalSources } from '../interpreter/resolution.ts'
import type { EnvironmentFiles } from '../interpreter/spec.ts'
import type { ResolveOptions } from './options.ts'
import { RESOLVED_VERSION } from './pretended-version.ts'
import { StagedRepositories, shortRef } from './staged-repositories.ts'

const DESCRIPTION = /(?:^|\/)(?:pyproject\.toml|setup\.cfg|setup\.py)$/

/** What requirements files name beside packages of an index, ready for the resolver. */
export class StagedSources {
  readonly #sources: LocalSources
  readonly #options: ResolveOptions
  readonly #texts: EnvironmentFiles
  readonly #repositories: StagedRepositories

  private constructor({ files, project }: FilesRequest, sources: LocalSources, options: ResolveOptions) {
    this.#sources = sources
    this.#texts = files
    this.#options = options
    this.#repositories = new StagedRepositories(options, sources.git.length, project !== undefined)
  }

  /** Texts that the resolver reads besides the requirements files, or in their place. */
  get files(): EnvironmentFiles {
    return this.#repositories.files
  }

  /**
   * Finds the commit of every repository that is named, by the files or by projects that they name.
   * @throws {ResolverRefused} for a repository that can't be had
   */
  static async open(request: FilesRequest, sources: LocalSources, options: ResolveOptions): Promise<StagedSources> {
    const staged = new StagedSources(request, sources, options)
    const repositories = staged.#repositories
    for (const source of sources.git) await repositories.fetch(source)
    if (request.project) await repositories.followProjects(request.path, request.files)
    const isOfProject = (path: string) =>
      sources.projects.some(({ path: at }) => at === '' || path.startsWith(`${at}/`))
    for (const [path, text] of Object.entries(request.files))
      if (isOfProject(path)) await repositories.follow(path, text)
    return staged
  }

  /** Whether a file matters that the resolver gets: what there is besides, as for tests, may be anything. */
  counts(path: string): boolean {
    const isOfCode = this.#sources.projects.some(({ path: at }) => posix.join(at, 'pyproject.toml') === path)
    return isOfCode || this.#repositories.reached.has(path)
  }

  /** Whether the resolver needs files that are not text. */
  get hasArchives(): boolean {
    return this.#sources.files.length > 0
  }

  /**
   * Tars of what else the resolver needs, by paths from the folder of the requirements files.
   * @param builds whether it may build projects, which needs all of their files
   */
  async *tars(builds: boolean): AsyncGenerator<Readable> {
    const { code } = this.#options
    const { projects, files } = this.#sources
    for (const { path } of builds ? projects : []) if (code) yield await code.tar(path)
    for (const { at, tree } of builds ? this.#repositories.fetched : []) yield below(at, await tree.tar(''))
    for (const path of files) if (code) yield await code.tar(path)
  }

  /** What backends that ask git for a version are told: there is no git where they run. */
  get versions(): Record<string, string> {
    const described = Object.entries({ ...this.#texts, ...this.files }).filter(([path]) => DESCRIPTION.test(path))
    const names = described.flatMap(([, text]) => /^\s*name\s*=\s*["']?([\w.-]+)/m.exec(text)?.[1] ?? [])
    const variable = (name: string) => name.toUpperCase().replace(/[-_.]+/g, '_')
    return Object.fromEntries(
      names.map((name) => [`SETUPTOOLS_SCM_PRETEND_VERSION_FOR_${variable(name)}`, RESOLVED_VERSION]),
    )
  }

  /** The resolver's lock in terms of what was asked for: what is editable, and which commit of which repository. */
  lock(text: string): string {
    return text.replace(/\bdirectory = \{ path = ("(?:[^"\\]|\\.)*")[^}]*\}/g, (whole, quoted: string) => {
      const path = JSON.parse(quoted) as string
      const from = this.#repositories.fetched.find(({ at }) => path === at || path.startsWith(`${at}/`))
      if (from) {
        const { url, commit, ref, at } = from
        const subdirectory = posix.relative(at, path)
        const more = [
          ...(ref && ref !== commit ? [`, requested-revision = ${JSON.stringify(shortRef(ref))}`] : []),
          ...(subdirectory ? [`, subdirectory = ${JSON.stringify(subdirectory)}`] : []),
        ]
        return `vcs = { type = "git", url = ${JSON.stringify(url)}, commit-id = "${commit}"${more.join('')} }`
      }
      const project = this.#sources.projects.find((each) => (each.path || '.') === path)
      return project?.editable ? `directory = { path = ${quoted}, editable = true }` : whole
    })
  }

  /** The resolver's words in terms of what was asked for. */
  explain(message: string): string {
    return message.replace(/(?:file:\/\/\S*|\.\/)?\.meadow-git\/(\d+)/g, (whole, place: string) => {
      const from = this.#repositories.fetched.find(({ at }) => at === `.meadow-git/${place}`)
      return from ? `git+${from.url}@${shortRef(from.ref ?? 'HEAD')}` : whole
    })
  }
}

/** A tar with a folder in front of its paths. */
function below(folder: string, tar: Readable): Readable {
  return Readable.from(
    (async function* () {
      for await (const { entry, content } of readTar(tar)) {
        yield tarHeader({ ...entry, path: `${folder}/${entry.path}` })
        yield* content
        yield tarPadding(entry.size)
      }
      yield TAR_END
    })(),
  )
}
