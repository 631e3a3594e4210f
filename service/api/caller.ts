import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Request, RequestHandler, Response } from 'express'
import { TokenRequest, type TokenResponse } from '../../common/contract.ts'
import type { Database } from '../database/database.ts'
import { repositoryById, repositoryByName } from '../database/repositories.ts'
import { saveToken, tokenByHash } from '../database/tokens.ts'
import { ApiError } from './errors.ts'
import { bodyOf } from './validate.ts'

/** What a static token lets its holder do beyond reading: begin and end runs and builds, and upload for them. */
export type Permission = 'run'

/** A token of the operator's settings. */
export interface StaticToken {
  name: string
  /** What its holder sends. */
  secret: string
  /** `owner/name`, `owner/*` or `*`; in any case of letters. */
  repositories: string[]
  permissions: Permission[]
}

/** Who calls: always one repository, in one workflow run. */
export interface Caller {
  /** The repository's id, `rep_…`. */
  repository: string
  /** Its name, `owner/name`. */
  name: string
  /** The static token that this one came from. */
  token: string
  permissions: readonly Permission[]
}

const LIFE_MS = 24 * 60 * 60 * 1000
const REFUSED = new ApiError(
  401,
  'no-token',
  'authorization: this token is not accepted',
  'Get one by POST /v1/tokens.',
)

/** `POST /v1/tokens`: a static token for one that is bound to a repository and workflow run. */
export function exchange(database: Database, tokens: readonly StaticToken[]): RequestHandler {
  return async (request, response) => {
    const asked = bodyOf(request, TokenRequest)
    const known = findStatic(tokens, asked.token)
    if (known === undefined) {
      throw new ApiError(401, 'no-token', 'token: is not accepted', "Give the service's MEADOW_TOKEN.")
    }
    if (!known.repositories.some((pattern) => covers(pattern, asked.repository))) {
      const message = `repository: the token ${known.name} is not for ${asked.repository}`
      throw new ApiError(403, 'wrong-repository', message, "Add it to the token's repositories.")
    }
    const token = `meadow_${randomBytes(32).toString('base64url')}`
    const now = Date.now()
    await database.write(async ({ db }) => {
      const { id } = await repositoryByName(db, asked.repository, now)
      await saveToken(db, {
        hash: sha256(token).toString('hex'),
        repository: id,
        name: known.name,
        workflow_run: asked['workflow-run'] ?? null,
        expires: now + LIFE_MS,
      })
    })
    const body: TokenResponse = { token, expires: new Date(now + LIFE_MS).toISOString() }
    response.status(201).set('cache-control', 'no-store').json(body)
  }
}

/**
 * Lets a request through when it carries a token that is still good. What a token may do is asked of the settings each
 * time: taking a static token out of them ends all that came from it.
 */
export function requireCaller(database: Database, tokens: readonly StaticToken[]): RequestHandler {
  return async (request, response, next) => {
    response.locals.caller = await identify(database, tokens, request)
    next()
  }
}

/** Refuses callers whose token does not allow this. */
export function allow(permission: Permission): RequestHandler {
  return (_request, response, next) => {
    const { permissions, token } = callerOf(response)
    if (!permissions.includes(permission)) {
      const message = `the token ${token} lacks the permission ${permission}`
      throw new ApiError(403, 'not-permitted', message, "Add it to the token's permissions.")
    }
    next()
  }
}

/** Who calls, behind `requireCaller`. */
export function callerOf(response: Response): Caller {
  return response.locals.caller as Caller
}

async function identify(database: Database, tokens: readonly StaticToken[], request: Request): Promise<Caller> {
  const bearer = /^Bearer ([\w-]{1,200})$/i.exec(request.get('authorization') ?? '')?.[1]
  if (bearer === undefined) throw REFUSED
  const row = await tokenByHash(database.state, sha256(bearer).toString('hex'), Date.now())
  const known = tokens.find((token) => token.name === row?.name)
  if (row === undefined || known === undefined) throw REFUSED
  const name = (await repositoryById(database.state, row.repository))?.name
  if (name == null || !known.repositories.some((pattern) => covers(pattern, name))) throw REFUSED
  return {
    repository: row.repository,
    name,
    token: known.name,
    permissions: known.permissions,
  }
}

/** Compares with all of them, in a time that says nothing of which is alike. */
function findStatic(tokens: readonly StaticToken[], text: string): StaticToken | undefined {
  const hash = sha256(text)
  let found: StaticToken | undefined
  for (const token of tokens) {
    if (timingSafeEqual(sha256(token.secret), hash)) found = token
  }
  return found
}

function covers(pattern: string, repository: string): boolean {
  const [a, b] = [pattern.toLowerCase(), repository.toLowerCase()]
  return a === '*' || a === b || (a.endsWith('/*') && b.startsWith(a.slice(0, -1)))
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
