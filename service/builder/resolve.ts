import { DEFAULT_INDEX } from '../interpreter/lock.ts'
import type { Resolve } from '../interpreter/resolution.ts'
import type { CondaTool } from './conda.ts'
import type { BuilderContext } from './context.ts'
import { checkIndexes } from './indexes.ts'
import type { ResolveOptions } from './options.ts'
import type { Target } from './resolve-alone.ts'
import { resolveFiles } from './resolve-files.ts'
import type { ResolverPool } from './resolver-pool.ts'
import { uvExportArguments } from './uv.ts'
import { tablesOf } from './uv-project.ts'

interface ResolverParts {
  context: BuilderContext
  pool: ResolverPool
  poetry: ResolverPool
  conda: CondaTool
  /** Gives the builder image. */
  image: () => Promise<string>
}

/**
 * How locks are made for one base and its probe.
 * @param target what of the base's packages shows in the environment is `installed`, and no part of a lock
 */
export function resolverFor(parts: ResolverParts, target: Target, options: ResolveOptions): Resolve {
  const { probe, installed } = target
  const { pool, poetry, conda, context } = parts
  return async (request) => {
    const about = {
      ...{ markers: probe.markers, tags: probe.tags, hashes: request.hashes ?? null },
      ...(installed.length > 0 && { installed }),
    }
    if ('lock' in request) {
      const { lock, folder, extras, groups, withoutGroups } = request
      return await pool.ask({ ...about, lock, folder, extras, groups, withoutGroups }, options)
    }
    if ('uvLock' in request) {
      const { files, uvLock } = request
      const ask = { files, tables: tablesOf(files), arguments: uvExportArguments(uvLock, request), uvLock }
      return await pool.ask({ ...about, ...ask }, options)
    }
    if ('conda' in request) return await conda.solve(request.conda, options)
    if ('poetry' in request) {
      const { indexUrl } = context
      checkIndexes(request.poetry.indexes, indexUrl)
      const project = { ...request.poetry, python: probe.version, ...(indexUrl !== undefined && { index: indexUrl }) }
      const { text } = await poetry.ask(project, options)
      return await pool.ask({ ...about, index: indexUrl ?? DEFAULT_INDEX, lock: text }, options)
    }
    return await resolveFiles(parts, target, request, about, options)
  }
}
