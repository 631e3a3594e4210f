import { Router } from 'express'
import { RefRequest, type RefResponse } from '../../common/contract.ts'
import { RemoteError, type RemoteFault } from '../source/remote.ts'
import type { Source } from '../source/source.ts'
import { allow, callerOf } from './caller.ts'
import { checkRepository } from './code.ts'
import { ApiError, onlyMethods } from './errors.ts'
import { bodyOf } from './validate.ts'

/** A git host that takes longer is not waited for, in milliseconds. */
const HOST_MS = 45_000

const STATUS: Record<RemoteFault, number> = {
  'repository-not-found': 404,
  'commit-not-found': 404,
  'ref-not-found': 404,
  'ref-malformed': 400,
  'needs-credentials': 404,
  unreachable: 502,
  failed: 502,
}

/** `POST /v1/refs`: the commit that a branch or tag is at now. Runs and builds take commits, so that they are pinned. */
export function refs(source: Pick<Source, 'resolve'>): Router {
  const router = Router()
  router
    .route('/')
    .post(allow('run'), async (request, response) => {
      const asked = bodyOf(request, RefRequest)
      const caller = callerOf(response)
      checkRepository(caller, asked)
      const repository = { id: caller.repository, name: caller.name }
      try {
        const found: RefResponse = await source.resolve(repository, asked.ref, AbortSignal.timeout(HOST_MS))
        response.json(found)
      } catch (error) {
        throw refusal(error)
      }
    })
    .all(onlyMethods('POST'))
  return router
}

function refusal(error: unknown): unknown {
  if (error instanceof RemoteError) return new ApiError(STATUS[error.code], error.code, error.message, error.hint)
  if (!(error instanceof Error) || error.name !== 'TimeoutError') return error
  const message = `ref: the git host did not answer within ${HOST_MS / 1000} s`
  return new ApiError(504, 'unreachable', message, 'Try again, or give all 40 digits of the commit.')
}
