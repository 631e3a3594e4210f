import type { Request } from 'express'
import * as z from 'zod/mini'
import { ApiError } from './errors.ts'

z.config(z.locales.en())

/** Issues that one refusal names; more help nobody. */
const MOST_ISSUES = 5

interface Issue {
  code?: string | undefined
  path: PropertyKey[]
  message: string
  input?: unknown
}

/**
 * The body of a request, checked and with its defaults.
 * @throws {ApiError} 400 naming each field at fault by its input's name, unknown ones too
 */
export function bodyOf<T extends z.ZodMiniObject>(request: Request, schema: T): z.infer<T> {
  const body: unknown = request.body
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new ApiError(400, 'malformed-json', 'body: must be a JSON object', 'Send content-type: application/json.')
  }
  return checked(body, schema)
}

/** The query of a request, checked and with its defaults, like a body. */
export function queryOf<T extends z.ZodMiniObject>(request: Request, schema: T): z.infer<T> {
  return checked(request.query, schema)
}

function checked<T extends z.ZodMiniObject>(body: object, schema: T): z.infer<T> {
  const known = Object.keys(schema.shape)
  const unknown = Object.keys(body).filter((key) => !known.includes(key))
  if (unknown.length > 0) {
    throw invalid(
      unknown.slice(0, MOST_ISSUES).map((key) => `${key.slice(0, 100)}: is not known`),
      `Known are ${known.join(', ')}.`,
    )
  }
  const parsed = schema.safeParse(body, { reportInput: true })
  if (parsed.success) return parsed.data as z.infer<T>
  throw invalid(parsed.error.issues.slice(0, MOST_ISSUES).map(sentence))
}

/** The refusal of a field. */
export function invalid(faults: string | string[], hint = 'Correct it and send the request again.'): ApiError {
  return new ApiError(400, 'invalid-input', [faults].flat().join('; '), hint)
}

function sentence({ code, path, message, input }: Issue): string {
  const field = path.map(String).join('.')
  if (code === 'invalid_type' && input === undefined) return `${field}: is missing`
  if (code === 'invalid_key') return `${field}: is no name that can be used here`
  if (code === 'invalid_union') return `${field}: has none of the types that it may have`
  return `${field}: ${message.replace(/^Invalid (?:input|option): /, '')}`
}
