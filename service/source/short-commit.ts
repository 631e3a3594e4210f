import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { git } from '../../common/git-process.ts'
import { strangersEnvironment } from './git.ts'

/** What may be the first digits of a commit. */
export const SHORT_COMMIT = /^[0-9a-f]{7,39}$/

/**
 * The commits of a repository's branches and tags that begin with some digits. No host tells that, so all of them are
 * fetched, without their files where the host can leave these out.
 * @param clone clones the repository into an empty folder with the given options
 * @param folder below which that is done
 */
export async function commitsBeginning(
  short: string,
  clone: (options: string[], into: string) => Promise<unknown>,
  { folder, signal }: { folder: string; signal: AbortSignal },
): Promise<string[]> {
  const into = await mkdtemp(join(folder, 'commits-'))
  try {
    await clone(['--bare', '--filter=tree:0'], into)
    const options = { cwd: into, env: strangersEnvironment('none'), signal }
    const objects = (await git(['rev-parse', `--disambiguate=${short}`], options)).toString().split('\n')
    const ids = Buffer.from(objects.join('\n'))
    const types = (
      await git(['cat-file', '--batch-check=%(objecttype) %(objectname)'], { ...options, input: ids })
    ).toString()
    return [...types.matchAll(/^commit ([0-9a-f]{40})$/gm)].map(([, id = '']) => id)
  } finally {
    await rm(into, { recursive: true })
  }
}
