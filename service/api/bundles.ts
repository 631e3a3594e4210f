import { type Request, Router } from 'express'
import { MissingRequest, type MissingResponse } from '../../common/contract.ts'
import { type Blobs, type Digest, isDigest } from '../blobs/blobs.ts'
import { bundleOf, grant, granted } from '../database/code.ts'
import type { Database } from '../database/database.ts'
import { allow, type Caller, callerOf } from './caller.ts'
import { checkRepository, domainsOf } from './code.ts'
import { onlyMethods } from './errors.ts'
import { tooLarge } from './limits.ts'
import { bodyOf, invalid } from './validate.ts'

/** `POST /v1/bundles/missing`: what must be uploaded before a run can have this code. */
export function bundles(database: Database, blobs: Blobs): Router {
  const router = Router()
  router
    .route('/missing')
    .post(allow('run'), async (request, response) => {
      const asked = bodyOf(request, MissingRequest)
      const caller = callerOf(response)
      checkRepository(caller, asked)
      const bundle = await bundleOf(database.state, domainsOf(caller, asked), asked.commit)
      const missing: Digest[] = []
      for (const digest of new Set(asked.blobs as Digest[])) {
        if (!(await has(database, blobs, caller, digest))) missing.push(digest)
      }
      const body: MissingResponse = { bundle: bundle === undefined, blobs: missing }
      if (bundle === undefined) body.reason = `the code of ${asked.commit} was not fetched or uploaded yet`
      response.json(body)
    })
    .all(onlyMethods('POST'))
  return router
}

/** `PUT /v1/blobs/:digest`: takes a blob of at most `maxBytes`; the caller's repository may name it from then on. */
export function uploads(database: Database, blobs: Blobs, maxBytes: number): Router {
  const router = Router()
  router
    .route('/:digest')
    .put(allow('run'), async (request, response) => {
      const { digest } = request.params
      if (digest === undefined || !isDigest(digest)) {
        throw invalid('digest: must be sha256: and 64 hex digits', 'PUT /v1/blobs/sha256:…')
      }
      const { size } = await blobs.put(limited(request, maxBytes), { digest })
      // Bytes that the service had already are sent all the same: knowing a digest proves nothing.
      const { repository } = callerOf(response)
      await database.write(({ db }) => grant(db, { domain: repository, digest, now: Date.now() }))
      response.status(201).json({ digest, size })
    })
    .all(onlyMethods('PUT'))
  return router
}

async function has(database: Database, blobs: Blobs, { repository }: Caller, digest: Digest): Promise<boolean> {
  return (await granted(database.state, [repository], digest)) && (await blobs.size(digest)) !== undefined
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
