import { createHash } from 'node:crypto'
import * as z from 'zod/mini'
import { CodeRequest, InterpreterRequest, RepositoryName } from './contract.ts'

/** What the row of a build holds: everything `jobs/build` needs to make its image. */
export const BuildOrder = z.object({
  /** The repository's id, `rep_…`. */
  repository: z.string(),
  /** Its name when it was ordered. */
  name: RepositoryName,
  code: CodeRequest,
  interpreter: InterpreterRequest,
})
export type BuildOrder = z.infer<typeof BuildOrder>

/**
 * What the code of a request goes by, where a commit would be named: the commit, or a digest of what is mirrored, which
 * no commit can be taken for.
 * @throws {TypeError} for a request that names neither; the API lets none in
 */
export function codeId({ commit, mirror }: Pick<CodeRequest, 'commit' | 'mirror'>): string {
  if (commit !== undefined) return commit
  if (mirror === undefined) throw new TypeError('a request without commit and mirror was accepted')
  return `sha256:${createHash('sha256').update(mirror.roots.join('\n')).digest('hex')}`
}

/** What a request for a build or a run, with whatever else it asks for, means for the build of its image. */
export function buildOrder(
  of: Pick<BuildOrder, 'repository' | 'name'>,
  request: CodeRequest & InterpreterRequest,
): BuildOrder {
  return { ...of, code: z.parse(CodeRequest, request), interpreter: z.parse(InterpreterRequest, request) }
}

/**
 * One text for one way to ask for an interpreter: JSON with its keys in order and nothing that says nothing.
 * What lies in front of or beside the commit's own files counts, as the same name then means something else.
 */
export function canonicalRequest(
  interpreter: InterpreterRequest,
  code: Pick<CodeRequest, 'environment-files' | 'submodules' | 'lfs'> = {},
): string {
  const files = Object.entries(code['environment-files'] ?? {}).sort(([a], [b]) => (a < b ? -1 : 1))
  return JSON.stringify({
    'additional-software': sortedNames(interpreter['additional-software']),
    'base-image': interpreter['base-image'],
    'environment-files': files.length === 0 ? undefined : Object.fromEntries(files),
    extras: sortedNames(interpreter.extras),
    groups: sortedNames(interpreter.groups),
    interpreter: interpreter.interpreter,
    lfs: code.lfs || undefined,
    'python-version': interpreter['python-version'],
    submodules: code.submodules || undefined,
    'without-groups': sortedNames(interpreter['without-groups']),
  })
}

/** Their order says nothing, nor does an empty list. */
function sortedNames(names: string[] | undefined): string[] | undefined {
  return names?.length ? [...new Set(names)].sort() : undefined
}

/** The key under which two askers of one interpreter at one commit share a build, in one domain. */
export function buildKey(code: string, canonical: string): string {
  return `${code}:${canonical}`
}
