import { type Request, Router } from 'express'
import { BatchRefused, readBatch } from '../../common/blob-batch.ts'
import { MOST_PIECE } from '../../common/chunking.ts'
import { type CodeRequest, MissingRequest, type MissingResponse } from '../../common/contract.ts'
import { IndexRefused, MOST_INDEX_BYTES } from '../../common/piece-index.ts'
import { type Blobs, type Digest, isDigest } from '../blobs/blobs.ts'
import { bundleOf, grant } from '../database/code.ts'
import type { Database } from '../database/database.ts'
import { Mirrors } from '../source/mirror.ts'
import { allow, type Caller, callerOf } from './caller.ts'
import { checkDeployment, checkRepository, domainsOf } from './code.ts'
import { onlyMethods } from './errors.ts'
import { tooLarge } from './limits.ts'
import { bodyOf, invalid } from './validate.ts'

/** Digests in one answer; who has sent these asks again. */
const MOST_MISSING = 20_000
/** Blobs of a batch that are stored at a time. */
const AT_ONCE = 8

/** `POST /v1/bundles/missing`: what must be uploaded before a run can have this code. */
export function bundles(database: Database, blobs: Blobs): Router {
  const mirrors = new Mirrors({ database, blobs })
  const router = Router()
  router
    .route('/missing')
    .post(allow('run'), async (request, response) => {
      const asked = bodyOf(request, MissingRequest)
      const caller = callerOf(response)
      checkDeployment(asked)
      checkRepository(caller, asked)
      const missing = await mirrors.lacks(caller.repository, [...new Set(asked.blobs as Digest[])])
      const body =
        asked.mirror === undefined
          ? await ofCommit(database, caller, asked, missing)
          : await ofMirror(mirrors, caller, asked.mirror.roots as Digest[], missing)
      response.json(body)
    })
    .all(onlyMethods('POST'))
  return router
}

async function ofCommit(
  database: Database,
  caller: Caller,
  asked: CodeRequest,
  blobs: Digest[],
): Promise<MissingResponse> {
  const bundle = await bundleOf(database.state, domainsOf(caller, asked), asked.commit ?? '')
  if (bundle !== undefined) return { bundle: false, blobs }
  return { bundle: true, blobs, reason: `the code of ${asked.commit} was not fetched or uploaded yet` }
}

async function ofMirror(
  mirrors: Mirrors,
  { repository }: Caller,
  roots: Digest[],
  blobs: Digest[],
): Promise<MissingResponse> {
  const missing = new Set<Digest>()
  try {
    for (const root of roots) for (const each of await mirrors.missing(repository, root)) missing.add(each)
  } catch (error) {
    if (error instanceof IndexRefused) throw invalid(error.message, error.hint)
    throw error
  }
  const all = [...blobs, ...missing].slice(0, MOST_MISSING)
  return missing.size === 0
    ? { bundle: false, blobs: all }
    : { bundle: true, blobs: all, reason: 'this code was not mirrored yet' }
}

/**
 * `PUT /v1/blobs/:digest`: takes a blob of at most `maxBytes`; `POST /v1/blobs` many small ones, together at most as
 * many. The caller's repository may name them from then on.
 */
export function uploads(database: Database, blobs: Blobs, maxBytes: number): Router {
  const router = Router()
  const allowTo = async ({ repository }: Caller, digests: Digest[]) => {
    if (digests.length === 0) return
    await database.write(({ db }) => grant(db, { domain: repository, digests, now: Date.now() }))
  }
  router
    .route('/:digest')
    .put(allow('run'), async (request, response) => {
      const { digest } = request.params
      if (digest === undefined || !isDigest(digest)) {
        throw invalid('digest: must be sha256: and 64 hex digits', 'PUT /v1/blobs/sha256:…')
      }
      const { size } = await blobs.put(limited(request, maxBytes), { digest })
      // Bytes that the service had already are sent all the same: knowing a digest proves nothing.
      await allowTo(callerOf(response), [digest])
      response.status(201).json({ digest, size })
    })
    .all(onlyMethods('PUT'))
  router
    .route('/')
    .post(allow('run'), async (request, response) => {
      // What arrived before the connection broke stays: who sends the rest sends only the rest.
      for await (const stored of storeBatch(limited(request, maxBytes), blobs)) {
        await allowTo(callerOf(response), stored)
      }
      response.status(201).json({})
    })
    .all(onlyMethods('POST'))
  return router
}

/** Stores the blobs of a batch, a few at a time; gives their digests when they are durable. */
async function* storeBatch(body: AsyncIterable<Uint8Array>, blobs: Blobs): AsyncGenerator<Digest[]> {
  const store = async (some: { digest: Digest; bytes: Buffer }[]) => {
    await Promise.all(some.map(({ digest, bytes }) => blobs.put(bytes, { digest })))
    return some.map(({ digest }) => digest)
  }
  let waiting: { digest: Digest; bytes: Buffer }[] = []
  try {
    for await (const blob of readBatch(body, Math.max(MOST_PIECE, MOST_INDEX_BYTES))) {
      waiting.push(blob)
      if (waiting.length < AT_ONCE) continue
      yield await store(waiting)
      waiting = []
    }
  } catch (error) {
    if (error instanceof BatchRefused) throw invalid(error.message, error.hint)
    throw error
  }
  if (waiting.length > 0) yield await store(waiting)
}

async function* limited(request: Request, maxBytes: number): AsyncGenerator<Uint8Array> {
  let bytes = 0
  // Leaving the loop early must not close the connection: the refusal is still to be sent on it.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > maxBytes) throw tooLarge(maxBytes)
    yield chunk
  }
}
