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
import type { Report, ResolveOptions } from './builder.ts'
import type { BuilderContext } from './context.ts'
import { Frames } from './frames.ts'
import { pythonProgram } from './python-source.ts'
import { Step } from './step.ts'
import { STEP_FOLDER } from './step-spec.ts'
import { UV_CONFIG, uvConfig } from './uv.ts'

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
  /** uv's arguments to look up what else there is of a release, where its source was chosen. */
  universal?: string[]
  /** A project to be added to the lock, editable. */
  project?: { name: string; folder: string }
} & ({ files: EnvironmentFiles; arguments: string[] } | { lock: string; folder?: string })

interface Answer {
  text?: string
  artifacts?: Artifact[]
  failed?: RefusedStep
  /** What the user should know. */
  notes?: string[]
  message?: string
  package?: string | null
}

/** A resolver that waits for requests in a container of the builder image. */
interface Resolver {
  domain: string | undefined
  step: Step
  frames: Frames
  idle?: NodeJS.Timeout
}

export interface PoolOptions {
  /** What its containers run. */
  program: 'resolve' | 'export_poetry'
  /** Milliseconds that an unused resolver is kept. */
  keep: number
  /** How many unused ones are kept in all. */
  most: number
}

/**
 * Resolvers, kept ready for their domain for a while with what they have learned of the index. They run no code that
 * users chose (`--no-build`), but they read what users and packages wrote: one that was led astray must not make
 * another repository's locks, so none is ever shared between two domains.
 */
export class ResolverPool {
  readonly #context: BuilderContext
  readonly #image: (report: Report) => Promise<string>
  readonly #options: PoolOptions
  #idle: Resolver[] = []
  #closed = false

  constructor(context: BuilderContext, image: (report: Report) => Promise<string>, options: PoolOptions) {
    this.#context = context
    this.#image = image
    this.#options = options
  }

  /** @throws {ResolverRefused} */
  async ask(request: PoolRequest | PoetryPoolRequest, options: ResolveOptions): Promise<Resolved> {
    const { signal, domain, report } = options
    const kept = this.#take(domain)
    if (kept) {
      const answer = await this.#serve(kept, request, signal).catch(async () => {
        signal.throwIfAborted()
        // It may have died while nobody looked: the answer of a new one counts.
        return undefined
      })
      if (answer) return resolved(answer, report)
    }
    return resolved(await this.#serve(await this.#open(options), request, signal), report)
  }

  /** Removes all that are kept. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.all(this.#idle.splice(0).map((resolver) => discard(resolver)))
  }

  #take(domain: string | undefined): Resolver | undefined {
    const found = this.#idle.find((resolver) => domain !== undefined && resolver.domain === domain)
    if (!found) return undefined
    this.#idle.splice(this.#idle.indexOf(found), 1)
    clearTimeout(found.idle)
    found.step.restartClock()
    return found
  }

  async #open({ domain, signal, report }: ResolveOptions): Promise<Resolver> {
    const image = await this.#image(report)
    signal.throwIfAborted()
    const step = await Step.open(
      this.#context,
      {
        name: 'resolving',
        image,
        command: [`${BUILDER_ENV}/bin/python3`, '-I', PROGRAM_FOLDER],
        user: '0:0',
        env: { UV_CACHE_DIR: '/tmp/uv' },
        network: this.#context.network,
        files: {
          [UV_CONFIG]: uvConfig(this.#context.indexUrl),
          ...inFolder(PROGRAM_FOLDER, pythonProgram(this.#options.program)),
        },
      },
      // It may outlive this request, and has nothing to say but why it died.
      { signal: new AbortController().signal, report: () => {} },
    )
    const resolver = { domain, step, frames: new Frames(step.stdout) }
    try {
      await step.start()
    } catch (error) {
      await discard(resolver)
      throw error
    }
    return resolver
  }

  async #serve(resolver: Resolver, request: PoolRequest | PoetryPoolRequest, signal: AbortSignal): Promise<Answer> {
    const { step, frames } = resolver
    const abort = () => step.stop(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    try {
      signal.throwIfAborted()
      await step.write(`${JSON.stringify(request)}\n`)
      const answer = (await frames.line().catch((error) => step.blame(error))) as Answer | undefined
      if (answer === undefined) {
        await step.finish()
        throw step.lost()
      }
      await this.#giveBack(resolver)
      return answer
    } catch (error) {
      await discard(resolver)
      throw error
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  async #giveBack(resolver: Resolver): Promise<void> {
    if (this.#closed || resolver.domain === undefined) return await discard(resolver)
    resolver.step.stopClock()
    resolver.idle = setTimeout(() => {
      this.#idle = this.#idle.filter((other) => other !== resolver)
      void discard(resolver)
    }, this.#options.keep)
    resolver.idle.unref()
    this.#idle.push(resolver)
    if (this.#idle.length > this.#options.most) {
      const oldest = this.#idle.shift()
      clearTimeout(oldest?.idle)
      if (oldest) await discard(oldest)
    }
  }
}

async function discard({ step, idle }: Resolver): Promise<void> {
  clearTimeout(idle)
  await step[Symbol.asyncDispose]()
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
