import { isUtf8 } from 'node:buffer'
import { hash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Webhooks } from '@octokit/webhooks'
import type { Database } from '../database/database.ts'
import { interpret } from '../github/deliveries.ts'
import { readBody } from './body.ts'
import { DeliveryGroups } from './delivery-groups.ts'
import { ApiError, sendJson } from './errors.ts'
import { jsonFault } from './json-fault.ts'
import { answerWithin } from './limits.ts'
import { pacedLog } from './paced-log.ts'

const ANSWER_MS = 60_000
/** GitHub sends no larger webhooks (docs.github.com, "webhook events and payloads"). */
const MOST_BYTES = 25 * 1024 * 1024
/** Anybody can send what is refused: it is logged at most this often. */
const REFUSALS_MS = 1000

/**
 * `POST /webhooks/github`: nothing is looked at or kept before its signature is found right, and 202 is answered only
 * when the delivery and the job that it causes are durable together. It rejects with what is to be answered instead.
 */
export type Webhook = (request: IncomingMessage, response: ServerResponse) => Promise<void>

/** Deliveries come in bursts: this needs nothing of what express adds to a request. */
export function webhook(database: Database, secret: string, log: (line: string) => void): Webhook {
  const github = new Webhooks({ secret })
  const groups = new DeliveryGroups(database)
  const refusal = pacedLog(log, REFUSALS_MS)

  /** @throws {ApiError} 401 for a signature that is missing or wrong */
  const verify = async (request: IncomingMessage, text: string) => {
    const signature = request.headers['x-hub-signature-256'] ?? ''
    if (text !== '' && signature !== '' && (await github.verify(text, String(signature)))) return
    const why = signature === '' ? 'its signature is missing' : 'its signature does not fit the body'
    refusal(`a delivery from ${request.socket.remoteAddress} was refused: ${why} (${Buffer.byteLength(text)} bytes)`)
    const message = `x-hub-signature-256: ${signature === '' ? 'is missing' : 'does not fit the body'}`
    throw new ApiError(401, 'bad-signature', message, 'Give the webhook the secret that MEADOW_WEBHOOK_SECRET holds.')
  }

  return async (request, response) => {
    answerWithin(ANSWER_MS, request, response)
    const body = await readBody(request, MOST_BYTES)
    // A text stands for one sequence of bytes only where those are UTF-8: else nothing that was sent is verified.
    const text = isUtf8(body) ? body.toString() : ''
    await verify(request, text)
    const id = header(request, 'x-github-delivery')
    const event = header(request, 'x-github-event')
    const asks = interpret(event, payloadOf(request, text))
    const did = await groups.record({ id, event, bodySha256: hash('sha256', body), asks })
    log(`delivery ${id} ${event}: ${did}`)
    if (!response.headersSent) sendJson(response, 202, { delivery: id, did })
  }
}

function header({ headers }: IncomingMessage, name: string): string {
  const value = headers[name]
  if (typeof value === 'string' && /^[\w-]{1,100}$/.test(value)) return value
  throw new ApiError(
    400,
    'malformed-delivery',
    `${name}: is missing or malformed`,
    'Send the headers that GitHub sends.',
  )
}

/** GitHub sends JSON as it is, or in the field `payload` of a form, as the webhook's settings say. */
function payloadOf({ headers }: IncomingMessage, text: string): unknown {
  const isForm = /^application\/x-www-form-urlencoded\s*(?:;|$)/i.test(headers['content-type'] ?? '')
  const json = isForm ? (new URLSearchParams(text).get('payload') ?? '') : text
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
