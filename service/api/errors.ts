import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { RequestHandler } from 'express'
import type { ErrorBody } from '../../common/contract.ts'
import { BlobRefused, BlobsFull } from '../blobs/blobs.ts'
import { DeliveryMalformed } from '../github/deliveries.ts'
import { jsonFault } from './json-fault.ts'

/** A refusal: `message` names what is at fault, `hint` the fix. */
export class ApiError extends Error {
  override name = 'ApiError'
  readonly status: number
  readonly code: string
  readonly hint: string
  constructor(status: number, code: string, message: string, hint: string) {
    super(message)
    this.status = status
    this.code = code
    this.hint = hint
  }
}

/** What body-parser throws (its README, "Errors"). */
interface BodyError extends Error {
  status: number
  type: string
  body?: string
  limit?: number
}

/**
 * The refusal that an error is for the caller. What we did not foresee becomes a bare 500: nothing of its text, which
 * may hold paths, goes out.
 */
export function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error
  if (error instanceof DeliveryMalformed) {
    return new ApiError(400, 'malformed-delivery', error.message, 'Send what GitHub sends for this event.')
  }
  if (error instanceof BlobRefused) {
    return new ApiError(400, 'blob-refused', error.message, 'Send the bytes whose digest is in the URL.')
  }
  if (isBodyError(error)) return ofBody(error)
  if (error instanceof URIError) {
    return new ApiError(400, 'bad-url', 'the URL holds a % that is no escape', 'Encode it as %25.')
  }
  if (error instanceof BlobsFull) {
    return new ApiError(507, 'disk-full', "the service's disk is full", 'Free space under MEADOW_DATA.')
  }
  return new ApiError(500, 'internal', 'the service failed', "Its log says why, beside this request's line.")
}

/** A caller that is refused while it sends may go on for so long: cut off at once, it would not see the refusal. */
const LINGER_MS = 10_000

/** Sends a refusal. */
export function sendError(request: IncomingMessage, response: ServerResponse, error: ApiError): void {
  const body: ErrorBody = { error: { code: error.code, message: error.message, hint: error.hint } }
  if (request.complete) return void sendJson(response, error.status, body)
  const text = JSON.stringify(body)
  response.writeHead(error.status, jsonHeaders(text)).write(text)
  const cut = setTimeout(() => request.destroy(), LINGER_MS)
  response.once('close', () => clearTimeout(cut))
  request.once('end', () => response.end()).resume()
}

/** Sends an answer. */
export function sendJson(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body)
  response.writeHead(status, jsonHeaders(text)).end(text)
}

function jsonHeaders(text: string): OutgoingHttpHeaders {
  return { 'content-type': 'application/json; charset=utf-8', 'content-length': Buffer.byteLength(text) }
}

/**
 * Answers what was thrown while a request was answered.
 * @param path the request's, for the log
 */
export function answerError(
  log: (line: string) => void,
  { error, request, response }: { error: unknown; request: IncomingMessage; response: ServerResponse },
  path: string,
): void {
  // Who has gone hears nothing, and that they went is no failure of ours.
  if (response.destroyed) return
  const refusal = toApiError(error)
  if (refusal.status === 500) log(`${request.method} ${path}: ${error instanceof Error ? error.stack : error}`)
  // The answer has begun: cutting it is all that says it is not whole.
  if (response.headersSent) return void response.destroy()
  sendError(request, response, refusal)
}

/** Refuses the methods that a path does not know. */
export function onlyMethods(...methods: string[]): RequestHandler {
  return (request, response) => {
    response.set('allow', methods.join(', '))
    const { method, baseUrl, path } = request
    throw new ApiError(
      405,
      'method-not-allowed',
      `${baseUrl}${path} does not take ${method}`,
      `Use ${methods.join(' or ')}.`,
    )
  }
}

/** Refuses paths that nobody serves. */
export const notFound: RequestHandler = (request) => {
  throw new ApiError(404, 'not-found', `${request.path} is not served here`, 'See the list of calls in the README.')
}

/** The refusal of something that is not there, or not the caller's: which of both is not said. */
export function noSuch(what: string, id: string): ApiError {
  return new ApiError(404, 'not-found', `${what} ${id} is not known`, `Give the id of a ${what} of this repository.`)
}

function ofBody(error: BodyError): ApiError {
  switch (error.type) {
    case 'entity.parse.failed':
      return new ApiError(400, 'malformed-json', `body: ${jsonFault(error.body ?? '')}`, 'Send one JSON object.')
    case 'entity.too.large':
      return new ApiError(413, 'too-large', `body: more than ${error.limit} bytes`, 'Send less.')
    case 'request.aborted':
      return new ApiError(400, 'aborted', 'body: it ended before its content-length', 'Send all of it.')
    default:
      return new ApiError(error.status, error.type.replaceAll('.', '-'), `body: ${error.message}`, 'Send plain UTF-8.')
  }
}

function isBodyError(error: unknown): error is BodyError {
  return error instanceof Error && 'type' in error && 'status' in error && typeof error.type === 'string'
}
