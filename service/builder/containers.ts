import { availableParallelism } from 'node:os'
import type { Blobs } from '../blobs/blobs.ts'
import { isOnImage } from '../interpreter/formats/container.ts'
import { lockSpec } from '../interpreter/formats.ts'
import { activate } from './activate.ts'
import { installByApt } from './apt.ts'
import { buildWheel } from './build-wheel.ts'
import type { Builder } from './builder.ts'
import { Compilers } from './compile.ts'
import { CondaTool } from './conda.ts'
import type { SolveParts } from './conda-solve.ts'
import { type BuilderContext, type BuilderLimits, DEFAULT_LIMITS } from './context.ts'
import type { KeepOptions } from './kept-steps.ts'
import type { Report } from './options.ts'
import { probeBase } from './probe-base.ts'
import { resolverFor } from './resolve.ts'
import { ResolverPool } from './resolver-pool.ts'
import { findYanked } from './yanked.ts'

const POOL = { keep: 15 * 60_000, most: 4 }
/** Two work at the same time: what one extracts, the other links meanwhile. */
const CONDA_AT_ONCE = 2

export interface BuilderOptions extends Omit<BuilderContext, 'limits' | 'pull'> {
  blobs: Blobs
  /** Gives the reference of the builder image, made where it is missing. Called often. */
  image: () => Promise<string>
  /** Gives the reference of the image that reads projects of poetry, likewise. */
  poetryImage: (report: Report) => Promise<string>
  /** Gives the reference of the image that solves and links conda environments, likewise. */
  condaImage: (report: Report) => Promise<string>
  /** What conda's channels offer, and the operator's own ones. */
  conda: Omit<SolveParts, 'steps' | 'blobs'>
  /** Brings an image to the engine; by default one that it lacks is pulled without a credential. */
  pull?: BuilderContext['pull']
  /** Where wheels lie until they are read. */
  folder: string
  limits?: Partial<BuilderLimits>
  /** How long and how many resolvers are kept ready. */
  resolvers?: Partial<Pick<KeepOptions, 'keep' | 'most'>>
}

/** What steps need of their surroundings, with defaults filled in. */
export function builderContext(
  options: Omit<BuilderOptions, 'blobs' | 'image' | 'poetryImage' | 'condaImage' | 'conda' | 'folder' | 'resolvers'>,
): BuilderContext {
  const { engine, node, network, caBundle, indexUrl } = options
  const pull = async (reference: string, signal: AbortSignal) => {
    if (!(await engine.hasImage(reference))) await engine.pull(reference, { signal })
  }
  return {
    engine,
    node,
    network,
    pull: options.pull ?? pull,
    limits: { ...DEFAULT_LIMITS, cpus: availableParallelism(), ...options.limits },
    ...(caBundle === undefined ? {} : { caBundle }),
    ...(indexUrl === undefined ? {} : { indexUrl }),
  }
}

/** Builder containers on an engine. Close it before the engine. */
export function createBuilder(options: BuilderOptions): Builder {
  const { blobs, image, poetryImage, condaImage, folder } = options
  const context = builderContext(options)
  const keep = { ...POOL, ...options.resolvers }
  const pool = new ResolverPool(context, image, 'resolve', keep)
  const poetry = new ResolverPool(context, poetryImage, 'export_poetry', keep)
  const conda = new CondaTool(context, condaImage, { blobs, ...options.conda }, { ...keep, atOnce: CONDA_AT_ONCE })
  const compilers = new Compilers(context, blobs, keep)
  return {
    probe: (base, step) => probeBase(context, base, step),
    resolve: (base, spec, probe, step) =>
      lockSpec(
        spec,
        probe,
        resolverFor(
          { context, pool, poetry, conda, image },
          { base, probe, installed: step.installed ?? (isOnImage(spec) ? probe.installed : []) },
          step,
        ),
      ),
    yanked: (artifacts, probe, step) => findYanked({ context, pool }, artifacts, probe, step),
    compile: (compiling, requests, step, take) => compilers.compile(compiling, requests, step, take),
    buildWheel: (base, probe, request, step) => buildWheel({ context, image, folder }, { base, probe }, request, step),
    installByApt: (base, packages, step) => installByApt(context, blobs, base, packages, step),
    activate: (request, step) => activate(context, request, step),
    link: (request, step, take) => conda.link(request, step, take),
    close: async () => {
      await Promise.all([pool, poetry, conda, compilers].map((kept) => kept.close()))
    },
  }
}
