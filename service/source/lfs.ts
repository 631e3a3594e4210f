import { createReadStream } from 'node:fs'
import * as z from 'zod/mini'
import { HintedError } from '../../common/hinted-error.ts'
import type { Blobs, Digest } from '../blobs/blobs.ts'
import type { Download } from '../fetch/errors.ts'
import { FetchFailed } from '../fetch/errors.ts'
import type { Fetcher } from '../fetch/fetcher.ts'

/** What stands in a tree for a file that Git LFS keeps. */
export interface LfsPointer {
  /** sha256, hex. */
  oid: string
  /** Bytes. */
  size: number
}

/** A file that Git LFS keeps can't be had. */
export class LfsRefused extends HintedError {
  override name = 'LfsRefused'
  constructor(what: string, why: string, hint: string) {
    super(`lfs: ${what}: ${why}`, hint)
  }
}

/** Larger files are no pointers. https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md */
export const MAX_POINTER = 1024
const VERSION = 'version https://git-lfs.github.com/spec/v1\n'
const MEDIA_TYPE = 'application/vnd.git-lfs+json'
/** Objects asked for at a time: hosts take a hundred. */
const BATCH = 100
/** Headers that a host may have sent with a download: its authorisation, and what object stores sign. */
const PASSED = /^(?:authorization|accept|x-[\w-]+)$/i

/** What the pointer says, where a file's content is one. */
export function lfsPointer(content: Buffer): LfsPointer | undefined {
  const text = content.toString('latin1')
  if (content.length > MAX_POINTER || !text.startsWith(VERSION)) return undefined
  const oid = /^oid sha256:([0-9a-f]{64})$/m.exec(text)?.[1]
  const size = /^size (\d{1,15})$/m.exec(text)?.[1]
  return oid === undefined || size === undefined ? undefined : { oid, size: Number(size) }
}

/** https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md */
const Answer = z.object({
  transfer: z.optional(z.string()),
  objects: z.array(
    z.object({
      oid: z.string(),
      error: z.optional(z.object({ code: z.int(), message: z.optional(z.string().check(z.maxLength(1000))) })),
      actions: z.optional(
        z.object({
          download: z.optional(
            z.object({
              href: z.string(),
              header: z.optional(z.record(z.string(), z.string().check(z.regex(/^[\x20-\x7e]{0,8192}$/)))),
            }),
          ),
        }),
      ),
    }),
  ),
})

/**
 * Fetches the objects of a repository and stores them under their sha256.
 * @param repository the URL that the repository was fetched from
 * @throws {LfsRefused} where the host has none of that name or no such service
 * @throws {FetchRefused}, {FetchFailed} or {HashMismatch} by the fetcher
 */
export async function fetchLfs(
  { fetcher, blobs }: { fetcher: Fetcher; blobs: Blobs },
  repository: URL,
  pointers: LfsPointer[],
  signal: AbortSignal,
): Promise<void> {
  if (!/^https?:$/.test(repository.protocol)) {
    throw new LfsRefused(repository.href, 'its files are served over https: only', 'Take the input "lfs" out.')
  }
  for (let at = 0; at < pointers.length; at += BATCH) {
    const downloads = await downloadsOf(fetcher, repository, pointers.slice(at, at + BATCH), signal)
    await Promise.all(
      downloads.map(async (download) => {
        await using fetched = await fetcher.fetch(download, { signal })
        await blobs.put(createReadStream(fetched.file), { digest: `sha256:${fetched.sha256}` as Digest })
      }),
    )
  }
}

async function downloadsOf(
  fetcher: Fetcher,
  repository: URL,
  pointers: LfsPointer[],
  signal: AbortSignal,
): Promise<Required<Download>[]> {
  const url = `${repository.href.replace(/\/+$/, '').replace(/(?:\.git)?$/, '.git')}/info/lfs/objects/batch`
  const headers = { accept: MEDIA_TYPE, 'content-type': MEDIA_TYPE }
  const question = { operation: 'download', transfers: ['basic'], objects: pointers, hash_algo: 'sha256' }
  const answer = Answer.safeParse(await asked(fetcher, { name: 'lfs', url, headers }, question, signal))
  if (!answer.success || (answer.data.transfer ?? 'basic') !== 'basic') {
    throw new LfsRefused(url, 'the host answered what is not understood', 'Check that it serves Git LFS.')
  }
  const offered = new Map(answer.data.objects.map((object) => [object.oid, object]))
  return pointers.map(({ oid, size }) => {
    const { actions, error } = offered.get(oid) ?? {}
    const download = actions?.download
    if (download === undefined) {
      const why = error ? `the host says ${error.code} ${error.message ?? ''}`.trimEnd() : 'the host does not offer it'
      throw new LfsRefused(`object ${oid}`, why, 'Push it with "git lfs push --all".')
    }
    const given = Object.entries(download.header ?? {}).filter(([name]) => PASSED.test(name))
    return { name: `lfs object ${oid}`, url: download.href, sha256: oid, size, headers: Object.fromEntries(given) }
  })
}

async function asked(fetcher: Fetcher, about: Download, question: object, signal: AbortSignal): Promise<unknown> {
  try {
    return await fetcher.ask(about, question, { signal })
  } catch (error) {
    if (!(error instanceof FetchFailed) || error.retryable) throw error
    const hint = 'Check that the repository uses Git LFS, and that it can be read without credentials.'
    throw new LfsRefused(about.url ?? '', error.message, hint)
  }
}
