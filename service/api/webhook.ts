import { createHash } from 'node:crypto'
import { Webhooks } from '@octokit/webhooks'
import type { Request, RequestHandler } from 'express'
import type { Database, Unit } from '../database/database.ts'
import { recordDelivery, recordPush } from '../database/deliveries.ts'
import { enqueue } from '../database/jobs.ts'
import { repositoryByGithub } from '../database/repositories.ts'
import { type Interpretation, interpret, type PrebuildOrder } from '../github/deliveries.ts'
import { ApiError } from './errors.ts'
import { jsonFault } from './json-fault.ts'
import { Pace } from './pace.ts'
import { pacedLog } from './paced-log.ts'

/** One commit that is pushed again and again is prebuilt at most this often, in milliseconds. */
const SAME_PUSH_MS = 1000
/** Anybody can send what is refused: it is logged at most this often. */
const REFUSALS_MS = 1000

interface Delivery {
  id: string
  event: string
  /** The body as it was signed. */
  text: string
}

/**
 * `POST /webhooks/github`, behind a reader of the raw body: nothing is looked at or kept before its signature is found
 * right, and 202 is answered only when the delivery and the job that it causes are durable together.
 */
export function webhook(database: Database, secret: string, log: (line: string) => void): RequestHandler {
  const github = new Webhooks({ secret })
  const pace = new Pace(SAME_PUSH_MS)
  const refusal = pacedLog(log, REFUSALS_MS)
  return async (request, response) => {
    const delivery = await verified(github, request, refusal)
    const asks = interpret(delivery.event, payloadOf(request, delivery.text))
    const did = await database.write((unit) => record(unit, delivery, asks, pace))
    log(`delivery ${delivery.id} ${delivery.event}: ${did}`)
    response.status(202).json({ delivery: delivery.id, did })
  }
}

/** @throws {ApiError} 401 for a signature that is missing or wrong, 400 for headers that GitHub would not send */
async function verified(github: Webhooks, request: Request, refusal: (line: string) => void): Promise<Delivery> {
  const signature = request.get('x-hub-signature-256') ?? ''
  const body: unknown = request.body
  // Signed and hashed is the decoded text: bodies that differ only in bytes that are no UTF-8 are the same delivery.
  const text = Buffer.isBuffer(body) ? body.toString() : ''
  if (text === '' || signature === '' || !(await github.verify(text, signature))) {
    const why = signature === '' ? 'its signature is missing' : 'its signature does not fit the body'
    refusal(`a delivery from ${request.socket.remoteAddress} was refused: ${why} (${text.length} characters)`)
    const message = `x-hub-signature-256: ${signature === '' ? 'is missing' : 'does not fit the body'}`
    throw new ApiError(401, 'bad-signature', message, 'Give the webhook the secret that MEADOW_WEBHOOK_SECRET holds.')
  }
  return { id: header(request, 'x-github-delivery'), event: header(request, 'x-github-event'), text }
}

function header(request: Request, name: string): string {
  const value = request.get(name) ?? ''
  if (/^[\w-]{1,100}$/.test(value)) return value
  throw new ApiError(
    400,
    'malformed-delivery',
    `${name}: is missing or malformed`,
    'Send the headers that GitHub sends.',
  )
}

/** GitHub sends JSON as it is, or in the field `payload` of a form, as the webhook's settings say. */
function payloadOf(request: Request, text: string): unknown {
  const json = request.is('application/x-www-form-urlencoded') ? (new URLSearchParams(text).get('payload') ?? '') : text
  try {
    return JSON.parse(json)
  } catch {
    throw new ApiError(
      400,
      'malformed-json',
      `body: ${jsonFault(json)}`,
      'Send JSON, or a form with the field payload.',
    )
  }
}

/** What was done, in one transaction; a duplicate does nothing. */
async function record({ db, notify }: Unit, delivery: Delivery, asks: Interpretation, pace: Pace): Promise<string> {
  const received = Date.now()
  const did = asks.act === 'prebuild' ? 'prebuild' : asks.did
  const known = await recordDelivery(db, {
    id: delivery.id,
    body_sha256: createHash('sha256').update(delivery.text).digest('hex'),
    event: delivery.event,
    did,
    received,
  })
  if (known === 'duplicate' || asks.act !== 'prebuild') return known === 'duplicate' ? known : did
  const { push, githubId } = asks
  const repository = await repositoryByGithub(db, githubId, push.name, received)
  await recordPush(db, { repository: repository.id, commit_id: push.commit, ref: push.ref, received })
  const order: PrebuildOrder = { repository: repository.id, ...push }
  const key = `${repository.id}:${push.commit}:${push.ref}`
  await enqueue(db, {
    kind: 'prebuild',
    key,
    runAfter: pace.due(key, received),
    supersedes: `${repository.id}:${push.ref}`,
    payload: JSON.stringify(order),
    now: received,
  })
  notify('jobs')
  return did
}
