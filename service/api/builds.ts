import { text as readText } from 'node:stream/consumers'
import { Router } from 'express'
import { buildOrder } from '../../common/canonical-request.ts'
import { type Build, BuildRequest } from '../../common/contract.ts'
import type { Blobs } from '../blobs/blobs.ts'
import { buildById } from '../database/builds.ts'
import type { Database } from '../database/database.ts'
import { orderBuild } from '../database/order-build.ts'
import type { BuildRow } from '../database/schema.ts'
import type { Lock } from '../interpreter/lock.ts'
import { readable, repositoryOf } from '../policy/domain.ts'
import { allow, type Caller, callerOf } from './caller.ts'
import { checkCode, provenDomain } from './code.ts'
import { ApiError, noSuch, onlyMethods } from './errors.ts'
import type { EventStreams } from './event-stream.ts'
import { bodyOf } from './validate.ts'

/** `/v1/builds`: prebuilds without a run. A caller sees the builds of its repository. */
export function builds(database: Database, blobs: Blobs, streams: EventStreams): Router {
  const router = Router()

  router
    .route('/')
    .post(allow('run'), async (request, response) => {
      const asked = bodyOf(request, BuildRequest)
      const caller = callerOf(response)
      await checkCode(database.state, caller, asked)
      response.status(201).json({ id: await order(database, caller, asked) })
    })
    .all(onlyMethods('POST'))

  router
    .route('/:id')
    .get(async (request, response) => {
      response.json(shown(await find(database, callerOf(response), request.params.id)))
    })
    .all(onlyMethods('GET'))

  router
    .route('/:id/events')
    .get(async (request, response) => {
      const build = await find(database, callerOf(response), request.params.id)
      await streams.follow(build.id, request, response)
    })
    .all(onlyMethods('GET'))

  router
    .route('/:id/lock')
    .get(async (request, response) => {
      const build = await find(database, callerOf(response), request.params.id)
      response.type('application/toml').send(await lockText(database, blobs, build))
    })
    .all(onlyMethods('GET'))

  return router
}

/** The build that leads to this interpreter, opened where there is none that is good or under way. */
async function order(database: Database, caller: Caller, asked: BuildRequest): Promise<string> {
  const domain = await provenDomain(database.state, caller, asked)
  const { repository, name } = caller
  const { build } = await orderBuild(database, domain, buildOrder({ repository, name }, asked))
  return build.id
}

async function find(database: Database, caller: Caller, id: string): Promise<BuildRow> {
  const build = await buildById(database.state, id)
  if (build === undefined || repositoryOf(build.domain) !== caller.repository) throw noSuch('build', id)
  return build
}

/** The pylock.toml that a build's image was made from. */
async function lockText(database: Database, blobs: Blobs, build: BuildRow): Promise<string> {
  const { id, state, image, domain } = build
  if (state !== 'finished' || image === null) {
    throw new ApiError(409, 'not-finished', `build ${id} is ${state}`, 'Only a build that finished well has a lock.')
  }
  const { lock } = await database.state
    .selectFrom('images')
    .select('lock')
    .where('digest', '=', image)
    .where('domain', 'in', readable(domain))
    .limit(1)
    .executeTakeFirstOrThrow()
  const { text } = JSON.parse(await readText(await blobs.open(lock))) as Pick<Lock, 'text'>
  return text
}

function shown(row: BuildRow): Build {
  return {
    id: row.id,
    state: row.state,
    ...(row.message !== null && { message: row.message }),
    ...(row.hint !== null && { hint: row.hint }),
    ...(row.cache !== null && { cache: JSON.parse(row.cache) }),
    ...(row.image !== null && { image: row.image }),
    created: new Date(row.created).toISOString(),
    ...(row.finished !== null && { finished: new Date(row.finished).toISOString() }),
  }
}
