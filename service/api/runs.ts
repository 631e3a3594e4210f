import { Router } from 'express'
import * as z from 'zod/mini'
import { canonicalRequest, codeId } from '../../common/canonical-request.ts'
import { type Run, type RunCreated, RunRequest } from '../../common/contract.ts'
import type { Verdict } from '../../common/events.ts'
import { environmentBuild } from '../database/builds.ts'
import type { Database } from '../database/database.ts'
import { enqueue } from '../database/jobs.ts'
import { createRun, listRuns, requestCancel, runById } from '../database/runs.ts'
import type { RunRow } from '../database/schema.ts'
import { allow, type Caller, callerOf } from './caller.ts'
import { checkCode, domainsOf } from './code.ts'
import { ApiError, noSuch, onlyMethods } from './errors.ts'
import type { EventStreams } from './event-stream.ts'
import { bodyOf, invalid, queryOf } from './validate.ts'

const WAYS = ['command', 'args', 'function'] as const
const Page = z.object({
  limit: z._default(z.coerce.number().check(z.int(), z.minimum(1), z.maximum(200)), 50),
  before: z.optional(z.string().check(z.regex(/^run_[0-9a-f-]{36}$/, 'must be the id of a run'))),
})

/** `/v1/runs`: begins runs, tells of them, ends them. A caller sees the runs of its repository. */
export function runs(database: Database, streams: EventStreams): Router {
  const router = Router()

  router
    .route('/')
    .post(allow('run'), async (request, response) => {
      const asked = bodyOf(request, RunRequest)
      checkWay(asked)
      const caller = callerOf(response)
      await checkCode(database.state, caller, asked)
      response.status(201).json(await begin(database, caller, asked))
    })
    .get(async (request, response) => {
      const { limit, before } = queryOf(request, Page)
      const rows = await listRuns(database.state, { repository: callerOf(response).repository, limit, before })
      response.json({ runs: rows.map(shown) })
    })
    .all(onlyMethods('GET', 'POST'))

  router
    .route('/:id')
    .get(async (request, response) => {
      response.json(shown(await find(database, callerOf(response), request.params.id)))
    })
    .all(onlyMethods('GET'))

  router
    .route('/:id/result')
    .get(async (request, response) => {
      const run = await find(database, callerOf(response), request.params.id)
      response.type('json').send(`{"value":${resultOf(run)}}`)
    })
    .all(onlyMethods('GET'))

  router
    .route('/:id/events')
    .get(async (request, response) => {
      const run = await find(database, callerOf(response), request.params.id)
      await streams.follow(run.id, request, response)
    })
    .all(onlyMethods('GET'))

  router
    .route('/:id/cancel')
    .post(allow('run'), async (request, response) => {
      const run = await find(database, callerOf(response), request.params.id)
      const ends = await database.write(async ({ db, notify }) => {
        notify(`cancel:${run.id}`)
        return await requestCancel(db, run.id)
      })
      response.status(ends ? 202 : 200).json(shown((await runById(database.state, run.id)) ?? run))
    })
    .all(onlyMethods('POST'))

  return router
}

/** Stores the run and the job that does it, both or neither. */
async function begin(database: Database, caller: Caller, asked: RunRequest): Promise<RunCreated> {
  const run = await database.write(async ({ db, notify }) => {
    const now = Date.now()
    // The job narrows the domain once it knows whose code this is.
    const { repository } = caller
    const row = await createRun(db, {
      domain: repository,
      repository,
      commit: codeId(asked),
      request: JSON.stringify(asked),
      now,
    })
    await enqueue(db, { kind: 'run', key: row.id, payload: JSON.stringify({ run: row.id }), now })
    notify('jobs')
    return row
  })
  const cache = await verdictOf(database, caller, asked)
  return cache === undefined ? { id: run.id } : { id: run.id, cache }
}

/** What is known of the run's image so far. */
async function verdictOf(database: Database, caller: Caller, asked: RunRequest): Promise<Verdict | undefined> {
  const canonical = canonicalRequest(asked, asked)
  const build = await environmentBuild(database.state, domainsOf(caller, asked), codeId(asked), canonical)
  if (build?.state === 'finished' && build.image !== null) return 'hit'
  return build?.state === 'queued' || build?.state === 'building' ? 'joined' : undefined
}

async function find(database: Database, caller: Caller, id: string): Promise<RunRow> {
  const run = await runById(database.state, id)
  if (run === undefined || run.repository !== caller.repository) throw noSuch('run', id)
  return run
}

function checkWay(asked: RunRequest): void {
  const given = WAYS.filter((way) => asked[way] !== undefined)
  if (given.length !== 1) {
    const message = given.length === 0 ? 'command: one of command, args and function is needed' : both(given)
    throw invalid(message, 'Give exactly one of command, args and function.')
  }
  if (asked['function-args'] !== undefined && asked.function === undefined) {
    throw invalid('function-args: has a meaning only with function', 'Remove it, or give function.')
  }
}

function both(given: readonly string[]): string {
  return `${given.slice(1).join(', ')}: cannot be given together with ${given[0]}`
}

function resultOf(run: RunRow): string {
  if (run.state !== 'finished') {
    throw new ApiError(409, 'not-finished', `run ${run.id} is ${run.state}`, 'Follow its events until it has finished.')
  }
  if (run.result !== null) return run.result
  throw new ApiError(404, 'no-result', `run ${run.id} has no result`, 'Only a function that returned has one.')
}

function shown(row: RunRow): Run {
  return {
    id: row.id,
    repository: row.repository,
    commit: row.commit_id,
    state: row.state,
    ...(row.outcome !== null && { outcome: row.outcome }),
    ...(row.exit_code !== null && { 'exit-code': row.exit_code }),
    ...(row.message !== null && { message: row.message }),
    ...(row.hint !== null && { hint: row.hint }),
    ...(row.cache !== null && { cache: row.cache }),
    ...(row.image !== null && { image: row.image }),
    ...(row.build !== null && { build: row.build }),
    ...(row.ms_to_start !== null && { 'seconds-to-start': row.ms_to_start / 1000 }),
    created: new Date(row.created).toISOString(),
    ...(row.started !== null && { started: new Date(row.started).toISOString() }),
    ...(row.finished !== null && { finished: new Date(row.finished).toISOString() }),
  }
}
