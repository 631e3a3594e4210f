import type { TomlTable } from 'smol-toml'
import type { Artifact } from '../interpreter/lock.ts'
import type { InstalledPackage } from '../interpreter/probe.ts'
import {
  type AllowedHashes,
  type PoetryProject,
  type RefusedStep,
  type Resolved,
  ResolverRefused,
} from '../interpreter/resolution.ts'
import type { EnvironmentFiles } from '../interpreter/spec.ts'
import type { BuilderContext } from './context.ts'
import { ask, type KeepOptions, type KeptStep, KeptSteps, openKept } from './kept-steps.ts'
import type { Report, ResolveOptions } from './options.ts'
import { pythonProgram } from './python-source.ts'
import { STEP_FOLDER } from './step-spec.ts'
import { NO_BUILDS, UV_CACHE, UV_CONFIG, uvConfig } from './uv.ts'

/** The environment of the builder image. */
export const BUILDER_ENV = '/opt/env'
const PROGRAM_FOLDER = `${STEP_FOLDER}/resolver`

/** One request to `python/export_poetry.py`, whose answer is a lock of which nothing is chosen yet. */
export interface PoetryPoolRequest extends PoetryProject {
  /** Of the target. */
  python: string
  /** The index that is asked; poetry's own default where it is not set. */
  index?: string
}

/** One request to `python/resolve.py`. */
export type PoolRequest = {
  markers: Record<string, string>
  tags: string[]
  hashes: AllowedHashes | null
  /** The index that was asked, which uv does not write into its locks. Not for locks that users bring. */
  index?: string
  /** The extras and groups to choose from a lock that has them. */
  extras?: string[]
  groups?: string[]
  withoutGroups?: string[]
  /** A uv.lock among the files, to be compared with the pyproject.toml files that it was made from. */
  uvLock?: string
  /** What the image has already. */
  installed?: InstalledPackage[]
  /** To look up what else there is of a release, where its source was chosen. */
  universal?: Lookups
  /** A project to be added to the lock, editable. */
  project?: { name: string; folder: string }
} & (
  | { files: EnvironmentFiles; tables: Record<string, TomlTable>; arguments: string[] }
  | { lock: string; folder?: string }
)

/** How uv looks one release up that `one.txt` names. */
export interface Lookups {
  /** Files that lie beside it. */
  files: EnvironmentFiles
  /** uv's arguments by the package's normalised name; those of all others by an empty one. */
  arguments: Record<string, string[]>
}

/** One request to `python/yanked.py`. */
export interface YankedRequest {
  /** Where the index is left out, it is known from the URL, or the release is not asked for. */
  releases: { name: string; version: string; url: string; index?: string }[]
  arguments: string[]
  /** Seconds. */
  limit: number
}

/** What indexes say was yanked. */
export interface Yanked {
  /** Normalised names, and what is said of each in the resolver's words. */
  yanked: { name: string; text: string }[]
  /** Packages of which nobody could say it, and why. */
  unknown: { names: string[]; why: string }[]
}

interface Answer {
  text?: string
  artifacts?: Artifact[]
  failed?: RefusedStep
  /** What the user should know. */
  notes?: string[]
  message?: string
  package?: string | null
}

/**
 * Resolvers in containers of the builder image, kept ready with what they have learned of the index. They run no code
 * that users chose: nothing can be built there.
 */
export class ResolverPool {
  readonly #steps: KeptSteps<KeptStep>

  /**
   * @param image gives the reference of their image, made where it is missing
   * @param program what its containers run
   */
  constructor(
    context: BuilderContext,
    image: (report: Report) => Promise<string>,
    program: 'resolve' | 'export_poetry',
    options: KeepOptions,
  ) {
    const spec = {
      name: 'resolving',
      command: [`${BUILDER_ENV}/bin/python3`, '-I', PROGRAM_FOLDER],
      user: '0:0',
      env: { UV_CACHE_DIR: UV_CACHE },
      network: context.network,
      files: {
        ...NO_BUILDS,
        [UV_CONFIG]: uvConfig(context.indexUrl),
        ...inFolder(PROGRAM_FOLDER, pythonProgram(program)),
      },
    }
    this.#steps = new KeptSteps((step) => openKept(context, image, spec, step), options)
  }

  /** @throws {ResolverRefused} */
  async ask(request: PoolRequest | PoetryPoolRequest, options: ResolveOptions): Promise<Resolved> {
    const answer = await this.#steps.use(options, (kept) => ask(kept, request))
    return resolved(answer as Answer, options.report)
  }

  /** Asks whether releases were yanked. Only of those that resolve. */
  async yanked(request: YankedRequest, options: ResolveOptions): Promise<Yanked> {
    return (await this.#steps.use(options, (kept) => ask(kept, request))) as Yanked
  }

  /** Removes all that are kept. */
  async close(): Promise<void> {
    await this.#steps.close()
  }
}

function resolved(
  { text, artifacts, failed, message, package: name, notes }: Answer,
  report: ResolveOptions['report'],
): Resolved {
  if (failed !== undefined) throw new ResolverRefused(failed, message ?? '', name ?? undefined)
  for (const note of notes ?? []) report(note)
  return { text: text ?? '', artifacts: artifacts ?? [] }
}

function inFolder(folder: string, files: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(files).map(([name, text]) => [`${folder}/${name}`, text]))
}
