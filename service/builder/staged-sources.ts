import { posix } from 'node:path'
import { Readable } from 'node:stream'
import { readTar } from '../../common/read-tar.ts'
import { TAR_END, tarHeader, tarPadding } from '../../common/tar.ts'
import { projectFiles } from '../interpreter/project-files.ts'
import { type GitSource, type LocalSources, ResolverRefused } from '../interpreter/resolution.ts'
import type { EnvironmentFiles } from '../interpreter/spec.ts'
import type { CodeTree } from '../source/bundle-tree.ts'
import { GitDependencyFailed } from '../source/git-dependencies.ts'
import type { ResolveOptions } from './builder.ts'
import { OVERRIDES } from './uv.ts'

/** A git repository at the commit that its branch or tag is at now. */
interface Fetched extends GitSource {
  commit: string
  tree: CodeTree
}

/** `name[extra] @ git+https://…`, wherever a project says it. */
const GIT_REQUIREMENT = /([A-Za-z0-9][\w.-]*)\s*(\[[^\]\n]*\])?\s*@\s*git\+((?:https?|file):\/\/[^\s"';,\\]+)/g
const DESCRIPTION = /(?:^|\/)(?:pyproject\.toml|setup\.cfg|setup\.py)$/
/** More repositories than this are a mistake or an attack. */
const MOST_REPOSITORIES = 50

/** What requirements files name beside packages of an index, ready for the resolver. */
export class StagedSources {
  /** Texts that the resolver reads besides the requirements files. */
  readonly files: EnvironmentFiles = {}
  readonly #sources: LocalSources
  readonly #options: ResolveOptions
  readonly #texts: EnvironmentFiles
  readonly #fetched: Fetched[] = []
  #places: number

  private constructor(sources: LocalSources, texts: EnvironmentFiles, options: ResolveOptions) {
    this.#sources = sources
    this.#texts = texts
    this.#options = options
    this.#places = sources.git.length
  }

  /**
   * Finds the commit of every repository that is named, by the files or by projects that they name.
   * @param files of the request
   * @throws {ResolverRefused} for a repository that can't be had
   */
  static async open(sources: LocalSources, files: EnvironmentFiles, options: ResolveOptions): Promise<StagedSources> {
    const staged = new StagedSources(sources, files, options)
    for (const source of sources.git) await staged.#fetch(source)
    const isOfProject = (path: string) =>
      sources.projects.some(({ path: at }) => at === '' || path.startsWith(`${at}/`))
    for (const [path, text] of Object.entries(files)) if (isOfProject(path)) await staged.#follow(text)
    return staged
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
    for (const { at, tree } of builds ? this.#fetched : []) yield below(at, await tree.tar(''))
    for (const path of files) if (code) yield await code.tar(path)
  }

  /** What backends that ask git for a version are told: there is no git where they run. */
  get versions(): Record<string, string> {
    const described = Object.entries({ ...this.#texts, ...this.files }).filter(([path]) => DESCRIPTION.test(path))
    const names = described.flatMap(([, text]) => /^\s*name\s*=\s*["']?([\w.-]+)/m.exec(text)?.[1] ?? [])
    const variable = (name: string) => name.toUpperCase().replace(/[-_.]+/g, '_')
    return Object.fromEntries(names.map((name) => [`SETUPTOOLS_SCM_PRETEND_VERSION_FOR_${variable(name)}`, '0.0.0']))
  }

  /** The resolver's lock in terms of what was asked for: what is editable, and which commit of which repository. */
  lock(text: string): string {
    return text.replace(/\bdirectory = \{ path = ("(?:[^"\\]|\\.)*")[^}]*\}/g, (whole, quoted: string) => {
      const path = JSON.parse(quoted) as string
      const from = this.#fetched.find(({ at, subdirectory = '' }) => posix.join(at, subdirectory) === path)
      if (from) {
        const { url, commit, ref, subdirectory } = from
        const more = [
          ...(ref && ref !== commit ? [`, requested-revision = ${JSON.stringify(ref)}`] : []),
          ...(subdirectory ? [`, subdirectory = ${JSON.stringify(subdirectory)}`] : []),
        ]
        return `vcs = { type = "git", url = ${JSON.stringify(url)}, commit-id = "${commit}"${more.join('')} }`
      }
      const project = this.#sources.projects.find((each) => (each.path || '.') === path)
      return project?.editable ? `directory = { path = ${quoted}, editable = true }` : whole
    })
  }

  async #fetch(source: GitSource): Promise<void> {
    const { git, signal, report } = this.#options
    if (git === undefined) throw new Error('git repositories were named, and nobody can fetch them')
    try {
      const commit = await git.resolve(source.url, source.ref, signal)
      const tree = await git.tree(source.url, commit, signal)
      if (source.ref !== commit) report(`${source.url}@${source.ref ?? 'HEAD'} is at ${commit}`)
      this.#fetched.push({ ...source, commit, tree })
      await this.#describe(source, tree)
    } catch (error) {
      if (!(error instanceof GitDependencyFailed) || error.retryable) throw error
      throw new ResolverRefused('git', error.message, undefined, { hint: error.hint })
    }
  }

  async #describe({ at, subdirectory = '' }: GitSource, tree: CodeTree): Promise<void> {
    for (const path of await projectFiles(tree, subdirectory)) {
      const bytes = await tree.read(path)
      if (bytes === undefined || bytes.includes(0)) continue
      const text = bytes.toString()
      this.files[posix.join(at, path)] = text
      await this.#follow(text)
    }
  }

  /** Repositories that a project asks for in its turn: the resolver is told where they are. */
  async #follow(text: string): Promise<void> {
    for (const [, name = '', extras = '', target = ''] of text.matchAll(GIT_REQUIREMENT)) {
      const [base = '', fragment = ''] = target.split('#', 2)
      const [, url = '', ref] = /^(\w+:\/\/[^/]*\/.*?)(?:@([^@/][^@]*))?$/.exec(base) ?? []
      const subdirectory = new URLSearchParams(fragment).get('subdirectory') ?? undefined
      const known = this.#fetched.find(
        (each) => each.url === url && each.ref === ref && each.subdirectory === subdirectory,
      )
      const at = known?.at ?? `.meadow-git/${this.#places++}`
      const override = `${name}${extras} @ file:./${posix.join(at, subdirectory ?? '')}\n`
      this.files[OVERRIDES] = (this.files[OVERRIDES] ?? '') + override
      if (known) continue
      if (this.#places > MOST_REPOSITORIES) {
        const hint = 'Ask for releases of some of them.'
        throw new ResolverRefused('git', `${url} is one of more than ${MOST_REPOSITORIES} repositories`, name, { hint })
      }
      await this.#fetch({ url, at, ...(ref && { ref }), ...(subdirectory && { subdirectory }) })
    }
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
