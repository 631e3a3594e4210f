import type { IncomingMessage, ServerResponse } from 'node:http'
import type { RequestHandler } from 'express'
import { ApiError, sendError } from './errors.ts'

/** Refuses, before it is read, a body that says it is larger. Bodies that do not say it are counted by their readers. */
export function noLargerThan(bytes: number): RequestHandler {
  return (request, _response, next) => {
    if (Number(request.headers['content-length'] ?? 0) > bytes) throw tooLarge(bytes)
    next()
  }
}

/** The refusal of a body. */
export function tooLarge(bytes: number): ApiError {
  return new ApiError(413, 'too-large', `body: more than ${bytes} bytes`, 'Send less.')
}

/** Answers in place of a handler whose answer has not begun after some milliseconds. */
export function within(ms: number): RequestHandler {
  return (request, response, next) => {
    answerWithin(ms, request, response)
    next()
  }
}

/** The same for one request. */
export function answerWithin(ms: number, request: IncomingMessage, response: ServerResponse): void {
  const timer = setTimeout(() => {
    if (response.headersSent) return
    const late = request.complete
      ? new ApiError(503, 'timeout', `no answer within ${ms / 1000} s`, 'Try again later.')
      : new ApiError(408, 'timeout', `body: it did not arrive within ${ms / 1000} s`, 'Send it faster.')
    sendError(request, response, late)
  }, ms)
  response.once('close', () => clearTimeout(timer))
}
