import type { BuildOrder } from '../../common/canonical-request.ts'
import { codeId } from '../../common/canonical-request.ts'
import type { Digest } from '../blobs/blobs.ts'
import type { Code, CodeOptions, Source } from '../source/source.ts'

/** The code that a build or run was ordered for, whichever way it is deployed. */
export async function codeOf(
  source: Source,
  { repository, name, code }: Pick<BuildOrder, 'repository' | 'name' | 'code'>,
  options: CodeOptions,
): Promise<Code> {
  const callerDomain = repository
  if (code.mirror !== undefined) {
    return await source.mirrored({ roots: code.mirror.roots as Digest[], callerDomain }, options)
  }
  return await source.codeAt(
    {
      repository: { id: repository, name },
      commit: codeId(code),
      pullRequest: code['pull-request'],
      submodules: code.submodules,
      lfs: code.lfs,
      bundle: code.bundle,
      callerDomain,
    },
    options,
  )
}
