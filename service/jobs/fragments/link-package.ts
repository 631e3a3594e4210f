import { condaFragment } from '../../image/conda-fragment.ts'
import type { Fragment } from '../../image/fragment.ts'
import type { Artifact } from '../../interpreter/lock.ts'
import { download } from '../environment/download.ts'
import type { MakeOrder, MakeParts } from './make-order.ts'

/** The files of a conda package, put where they belong by itself; and the bytes that were fetched for it. */
export async function linkedFragment(
  { builder, blobs, fetcher }: MakeParts,
  { conda, domain, fetched, signal, report }: MakeOrder,
  artifact: Artifact,
): Promise<{ fragment: Fragment; transferred: number }> {
  if (conda === undefined) throw new Error(`${artifact.name} is of conda, and the environment has no Python of conda`)
  await using archive = await download(fetcher, artifact, { fetched, signal })
  const { file, size } = archive
  const request = { artifact, file, size, ...conda }
  const fragment = await builder.link(request, { signal, report, domain }, async (files) => {
    return await condaFragment(artifact.name, files, blobs)
  })
  return { fragment, transferred: size }
}
