import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type * as z from 'zod/mini'
import { commitBundle } from '../../common/bundle-format.ts'
import type { CodeRequest, UploadedBundle } from '../../common/contract.ts'
import { ServiceRefused } from '../errors.ts'
import type { Service } from '../service.ts'
import type { Checkout } from './checkout.ts'
import { looseFiles } from './environment-files.ts'

/** Code at a commit, and the interpreter that it is to run in. */
export interface GitRepo {
  repository: string
  /** 40 hex digits. */
  commit: string
  pullRequest?: number | undefined
  interpreter: string
}

export interface PrepareOptions {
  /** Where the code is checked out; absent where nothing is. */
  checkout?: Checkout | undefined
  /** Folder for what is about to be sent; the system's own where it is not set. */
  temporary?: string | undefined
  signal?: AbortSignal | undefined
  /** Called with what a user should know. */
  say: (line: string) => void
}

/**
 * Sends what the service lacks of a deployment, and nothing that it has: the commit's bundle, made from the checkout's
 * git objects, and environment files that are not in the commit.
 * @returns the part of a request that names the code
 */
export async function prepareGitRepo(
  service: Service,
  { repository, commit, pullRequest, interpreter }: GitRepo,
  { checkout, temporary = tmpdir(), signal, say }: PrepareOptions,
): Promise<z.input<typeof CodeRequest>> {
  const code = { repository, commit, ...(pullRequest !== undefined && { 'pull-request': pullRequest }) }
  const here = checkout !== undefined && (await checkout.holds(commit)) ? checkout : undefined
  const loose = here ? await looseFiles(here, commit, interpreter) : []
  const missing = await service.missing({ ...code, blobs: loose.map(({ digest }) => digest) }, signal)

  const folder = await mkdtemp(join(temporary, 'meadow-'))
  try {
    for (const { path, digest, content } of loose) {
      if (!missing.blobs.includes(digest)) continue
      await writeFile(join(folder, 'blob'), content)
      await service.upload(digest, join(folder, 'blob'), signal)
      say(`Sent ${path} (${content.length} bytes): it is not in the commit.`)
    }
    const bundle = missing.bundle && here ? await sendBundle(service, here, commit, { folder, signal, say }) : undefined
    const files = Object.fromEntries(loose.map(({ path, digest }) => [path, digest]))
    return { ...code, ...(bundle && { bundle }), ...(loose.length > 0 && { 'environment-files': files }) }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function sendBundle(
  service: Service,
  checkout: Checkout,
  commit: string,
  { folder, signal, say }: { folder: string; signal: AbortSignal | undefined; say: (line: string) => void },
): Promise<UploadedBundle | undefined> {
  const file = join(folder, 'bundle.tar')
  const hash = createHash('sha256')
  let size = 0
  await using objects = checkout.objects(signal)
  const { chunks, gitlinks } = await commitBundle(objects, commit)
  const hashed = async function* () {
    for await (const chunk of chunks) {
      hash.update(chunk)
      size += chunk.length
      yield chunk
    }
  }
  await pipeline(hashed, createWriteStream(file))
  const digest = `sha256:${hash.digest('hex')}`
  try {
    await service.upload(digest, file, signal)
  } catch (error) {
    if (!(error instanceof ServiceRefused) || error.status !== 413) throw error
    say(`The code was not sent (${error.message}); the service fetches it itself. ${error.hint}`)
    return undefined
  }
  say(`Sent the code of ${commit.slice(0, 12)} (${size} bytes): the service did not have it.`)
  return {
    digest,
    'commit-object': (await checkout.commitObject(commit)).toString('base64'),
    gitlinks,
  }
}
