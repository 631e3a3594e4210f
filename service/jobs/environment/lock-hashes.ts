import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Fetcher } from '../../fetch/fetcher.ts'
import type { Artifact, Lock } from '../../interpreter/lock.ts'
import { download } from './download.ts'
import type { FirstFetches } from './first-fetches.ts'

/** Artifacts that are fetched at a time. */
const AT_ONCE = 6

/** A package whose bytes are not those of the md5 that its lock has. */
export class Md5Mismatch extends Error {
  override name = 'Md5Mismatch'
  readonly package: string
  readonly hint =
    'The file was changed after the lock was made, or on its way. Lock it anew only if you know why it changed.'
  constructor({ name, filename }: Artifact, expected: string, actual: string) {
    super(`${name}: ${filename} has md5 ${actual}, not ${expected}`)
    this.package = name
  }
}

/**
 * A lock whose every downloaded artifact has a sha256. One that has none (a direct URL without `#sha256=`, a list of
 * conda packages with md5 or nothing) is fetched once; its hash becomes part of the lock, so that what is installed
 * later is the same.
 * @param fetched keeps those files, whose bytes are wanted next
 * @throws {Md5Mismatch}
 */
export async function withHashes(
  fetcher: Fetcher,
  lock: Lock,
  { fetched, signal }: { fetched: FirstFetches; signal: AbortSignal },
): Promise<Lock> {
  const artifacts = await Readable.from(lock.artifacts)
    .map((artifact: Artifact) => hashed(fetcher, artifact, fetched, signal), { concurrency: AT_ONCE, signal })
    .toArray({ signal })
  const said = artifacts
    .filter((artifact, index) => artifact !== lock.artifacts[index])
    .map(({ name, version, sha256 }) => `# ${name} ${version}: sha256 ${sha256}, when it was first fetched\n`)
  if (said.length === 0) return lock
  const text = lock.text + said.join('')
  return { ...lock, text, artifacts, digest: `sha256:${createHash('sha256').update(text).digest('hex')}` }
}

async function hashed(
  fetcher: Fetcher,
  artifact: Artifact,
  fetched: FirstFetches,
  signal: AbortSignal,
): Promise<Artifact> {
  if (artifact.sha256 !== undefined || artifact.url === undefined || artifact.kind === 'vcs') return artifact
  const file = await download(fetcher, artifact, { signal })
  await fetched.keep(file)
  const { md5 } = artifact
  if (md5 !== undefined) {
    const hash = createHash('md5')
    await pipeline(createReadStream(file.file), hash, { signal })
    const actual = hash.digest('hex')
    if (actual !== md5) throw new Md5Mismatch(artifact, md5, actual)
  }
  return { ...artifact, sha256: file.sha256 }
}
