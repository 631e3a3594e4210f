import { posix } from 'node:path'
import { EnvironmentFileError } from '../../common/environment-file-error.ts'
import { gitSource } from '../interpreter/formats/git-sources.ts'
import { lineAt } from '../interpreter/formats/lock-places.ts'
import { readProject } from '../interpreter/formats/project.ts'
import { isForOtherSystem } from '../interpreter/formats/requirement-markers.ts'
import { isOneLine } from '../interpreter/formats/resolver-line.ts'
import { projectFiles } from '../interpreter/project-files.ts'
import { type GitSource, type Repository, ResolverRefused } from '../interpreter/resolution.ts'
import type { EnvironmentFiles } from '../interpreter/spec.ts'
import type { CodeTree } from '../source/bundle-tree.ts'
import { type GitDependencies, GitDependencyFailed } from '../source/git-dependencies.ts'
import type { ResolveOptions } from './options.ts'
import { OVERRIDES } from './uv.ts'
import { IS_PROJECT, reachedFrom, withFolders } from './uv-project.ts'

/** A git repository at the commit that its branch or tag is at now. */
export interface Fetched extends GitSource {
  commit: string
  tree: CodeTree
}

/** `name[extra] @ git+https://… ; marker`, wherever a project says it. */
const GIT_REQUIREMENT =
  /(["']?)([A-Za-z0-9][\w.-]*)\s*(\[[^\]\n]*\])?\s*@\s*git\+((?:https?|file):\/\/[^\s"';,\\]+)(?:[ \t]*;[ \t]*(.*))?/g
/** More repositories than this are a mistake or an attack. */
const MOST_REPOSITORIES = 50

/** The git repositories that requirements name, and those that these name in their turn, each in a folder. */
export class StagedRepositories {
  /** What the resolver reads of them, and what it reads instead of files that name them. */
  readonly files: EnvironmentFiles = {}
  readonly fetched: Fetched[] = []
  /** The pyproject.toml files that count, among those of whole repositories. */
  readonly reached = new Set<string>()
  readonly #options: ResolveOptions
  readonly #isProject: boolean
  readonly #described = new Set<string>()
  #places: number

  /**
   * @param places folders that are taken already
   * @param isProject whether projects say to uv where their packages come from
   */
  constructor(options: ResolveOptions, places: number, isProject: boolean) {
    this.#options = options
    this.#places = places
    this.#isProject = isProject
  }

  /** @throws {ResolverRefused} for one that can't be had */
  async fetch(source: GitSource): Promise<void> {
    await this.#fetch(source, await this.#commitOf(source))
  }

  async #commitOf({ url, ref }: Repository): Promise<string> {
    const { git, signal, report } = this.#options
    const commit = await inTermsOf(url, () => required(git).resolve(url, ref, signal))
    if (ref !== commit) report(`${url}@${shortRef(ref ?? 'HEAD')} is at ${commit}`)
    return commit
  }

  async #fetch(source: GitSource, commit: string): Promise<void> {
    const { url, at } = source
    const { git, signal } = this.#options
    await inTermsOf(
      url,
      async () => {
        const tree = await required(git).tree(url, commit, signal)
        const fetched = { ...source, commit, tree }
        this.fetched.push(fetched)
        await this.#describe(fetched, source)
      },
      at,
    )
  }

  /** What it says of itself; to uv, what all packages of the repository say of themselves and of each other. */
  async #describe({ at, tree }: Fetched, { subdirectory = '' }: Repository): Promise<void> {
    const own = posix.join(at, subdirectory, 'pyproject.toml')
    if (this.#described.has(own)) return
    this.#described.add(own)
    const others = this.#isProject ? (await tree.paths()).filter((path) => IS_PROJECT.test(path)) : []
    const found: EnvironmentFiles = {}
    for (const path of new Set([...(await projectFiles(tree, subdirectory)), ...others])) {
      const bytes = await tree.read(path)
      if (bytes !== undefined && !bytes.includes(0)) found[posix.join(at, path)] = bytes.toString()
    }
    Object.assign(this.files, found)
    if (this.#isProject) await this.followProjects(own, found)
    else if (found[own] !== undefined) this.reached.add(readProject(own, found[own]).file)
    for (const [path, text] of Object.entries(found)) await this.follow(path, text)
  }

  /** Repositories that projects of uv ask for. */
  async followProjects(own: string, files: EnvironmentFiles): Promise<void> {
    for (const path of reachedFrom(own, files)) {
      this.reached.add(path)
      const folders = await withFolders(path, files[path] ?? '', async (repository) => {
        return posix.join(await this.#placeOf(repository), repository.subdirectory ?? '')
      })
      if (folders !== undefined) this.files[path] = folders
    }
  }

  /** Repositories that a project asks for: the resolver is told where they are. */
  async follow(path: string, text: string): Promise<void> {
    if (this.#isProject && IS_PROJECT.test(path)) return
    for (const match of text.matchAll(GIT_REQUIREMENT)) {
      const [whole, quote = '', name = '', extras = '', target = '', rest = ''] = match
      const place = { file: path, line: lineAt(text, match.index) ?? 1 }
      const source = gitSource(place, `git+${target}`)
      if (source === undefined) continue
      const marker = quote === '' ? rest.trim() : (rest.split(quote, 1)[0] ?? '')
      if (isForOtherSystem(marker)) continue
      const at = await this.#placeOf(source)
      // What is behind it would be read as an option, and might name an index.
      if (!isOneLine(marker) || /(?:^|\s)[-#]/.test(marker)) {
        throw new EnvironmentFileError(path, place.line, `${whole} is no requirement`, 'Correct its marker.')
      }
      const folder = posix
        .join(at, source.subdirectory ?? '')
        .split('/')
        .map(encodeURIComponent)
        .join('/')
      const override = `${name}${extras} @ file:./${folder}${marker ? ` ; ${marker}` : ''}\n`
      this.files[OVERRIDES] = (this.files[OVERRIDES] ?? '') + override
    }
  }

  /** The folder of a repository, fetched when it is first asked for. */
  async #placeOf(repository: Repository): Promise<string> {
    const { url, ref } = repository
    const same = this.fetched.filter((each) => each.url === url)
    const asked = same.find((each) => each.ref === ref)
    const commit = asked?.commit ?? (await this.#commitOf(repository))
    const known = asked ?? same.find((each) => each.commit === commit)
    if (known) {
      await this.#describe(known, repository)
      return known.at
    }
    const at = `.meadow-git/${this.#places++}`
    if (this.#places > MOST_REPOSITORIES) {
      const why = `${url} is one of more than ${MOST_REPOSITORIES} repositories`
      throw new ResolverRefused('git', why, undefined, { hint: 'Ask for releases of some of them.' })
    }
    await this.#fetch({ ...repository, at }, commit)
    return at
  }
}

function required(git: GitDependencies | undefined): GitDependencies {
  if (git === undefined) throw new Error('git repositories were named, and nobody can fetch them')
  return git
}

/** @throws {ResolverRefused} for what a repository does not have, or says that is not supported */
async function inTermsOf<T>(url: string, work: () => Promise<T>, at = ''): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof EnvironmentFileError) {
      const said = `${url}: ${error.message.replace(`${at}/`, '')}`
      throw new ResolverRefused('git', said, undefined, { hint: error.hint })
    }
    if (!(error instanceof GitDependencyFailed) || error.retryable) throw error
    throw new ResolverRefused('git', error.message, undefined, { hint: error.hint })
  }
}

/** The name of a branch as people write it. */
export function shortRef(ref: string): string {
  return ref.replace(/^refs\/heads\//, '')
}
