import { createHash, timingSafeEqual } from 'node:crypto'
import { pipeline } from 'node:stream/promises'
import { type ErrorRequestHandler, type Request, type RequestHandler, type Response, Router } from 'express'
import { isDigest } from '../blobs/blobs.ts'
import type { EmbeddedRegistry } from '../registry/embedded.ts'
import { toApiError } from './errors.ts'

/** Who takes nothing of a blob for this long is let go. */
const STUCK_MS = 300_000

/** What a node shows to pull. */
export interface Credential {
  username: string
  password: string
}

/** A repository's name (OCI distribution specification 1.1, "pulling manifests"). */
const NAME = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*)*'
const PATH = new RegExp(`^/(${NAME})/(manifests|blobs|tags)/([\\w][\\w.:-]{0,135})$`)

/** A refusal in the words of the OCI distribution specification ("error codes"), which its clients read. */
class RegistryError extends Error {
  override name = 'RegistryError'
  readonly status: number
  readonly code: string
  constructor(status: number, code: string, message: string) {
    super(message)
    this.status = status
    this.code = code
  }
}

/** `/v2`: OCI distribution, pull and tags/list, for those who show the node's credential. */
export function registry(images: EmbeddedRegistry, credential: Credential): Router {
  const router = Router()
  router.use(requireCredential(credential))
  router.use(async (request, response) => {
    response.set('docker-distribution-api-version', 'registry/2.0')
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.set('allow', 'GET, HEAD')
      throw new RegistryError(405, 'UNSUPPORTED', 'this registry is pulled from only')
    }
    if (request.path === '/') return void response.json({})
    const [, name, kind, reference] = PATH.exec(request.path) ?? []
    if (name === undefined || reference === undefined) throw new RegistryError(404, 'NAME_INVALID', 'no such path')
    if (kind === 'manifests') await sendManifest(images, name, reference, response)
    else if (kind === 'blobs') await sendBlob(images, name, reference, request, response)
    else await sendTags(images, name, reference, request, response)
  })
  router.use(onRegistryError)
  return router
}

function requireCredential({ username, password }: Credential): RequestHandler {
  const expected = sha256(`Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`)
  return (request, response, next) => {
    if (timingSafeEqual(sha256(request.get('authorization') ?? ''), expected)) return next()
    response.set('www-authenticate', 'Basic realm="meadow"')
    throw new RegistryError(401, 'UNAUTHORIZED', "the node's credential is needed")
  }
}

async function sendManifest(images: EmbeddedRegistry, name: string, reference: string, response: Response) {
  const manifest = await images.get(name, reference)
  if (manifest === undefined) throw new RegistryError(404, 'MANIFEST_UNKNOWN', `${name} has no manifest ${reference}`)
  response.set({ 'content-type': manifest.mediaType, 'docker-content-digest': manifest.digest })
  response.end(response.req.method === 'HEAD' ? sized(response, manifest.bytes.length) : manifest.bytes)
}

async function sendBlob(images: EmbeddedRegistry, name: string, digest: string, request: Request, response: Response) {
  const blob = isDigest(digest) ? await images.blob(name, digest) : undefined
  if (blob === undefined || !isDigest(digest)) throw new RegistryError(404, 'BLOB_UNKNOWN', `${name} has no ${digest}`)
  response.set({
    'content-type': 'application/octet-stream',
    'docker-content-digest': digest,
    'accept-ranges': blob.ranges ? 'bytes' : 'none',
  })
  const range = blob.ranges ? rangeOf(request, blob.size) : undefined
  if (range === 'unsatisfiable') {
    response.set('content-range', `bytes */${blob.size}`)
    throw new RegistryError(416, 'SIZE_INVALID', `the blob has ${blob.size} bytes`)
  }
  if (range !== undefined) {
    response.status(206).set('content-range', `bytes ${range.start}-${range.end - 1}/${blob.size}`)
  }
  sized(response, range === undefined ? blob.size : range.end - range.start)
  if (request.method === 'HEAD') return void response.end()
  response.setTimeout(STUCK_MS, () => response.destroy())
  await pipeline(await blob.open(range), response)
}

async function sendTags(images: EmbeddedRegistry, name: string, list: string, request: Request, response: Response) {
  const all = list === 'list' ? await images.tags(name) : undefined
  if (all === undefined) throw new RegistryError(404, 'NAME_UNKNOWN', `there is no repository ${name}`)
  const last = typeof request.query.last === 'string' ? request.query.last : ''
  const count = /^\d{1,9}$/.test(String(request.query.n)) ? Number(request.query.n) : all.length
  const left = all.filter((tag) => tag > last)
  const tags = left.slice(0, count)
  if (tags.length < left.length && tags.length > 0) {
    response.set('link', `</v2/${name}/tags/list?n=${count}&last=${tags.at(-1)}>; rel="next"`)
  }
  response.json({ name, tags })
}

/** One range (RFC 9110, section 14.2); several, or units that are not bytes, are answered with the whole. */
function rangeOf(request: Request, size: number): { start: number; end: number } | 'unsatisfiable' | undefined {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(request.get('range') ?? '')
  if (match === null || match[0] === 'bytes=-') return undefined
  const [, first, last] = match as unknown as [string, string, string]
  if (first === '') return Number(last) === 0 ? 'unsatisfiable' : { start: Math.max(0, size - Number(last)), end: size }
  const start = Number(first)
  const end = last === '' ? size : Math.min(size, Number(last) + 1)
  if (last !== '' && Number(last) < start) return undefined
  return start >= size ? 'unsatisfiable' : { start, end }
}

function sized(response: Response, bytes: number): undefined {
  response.set('content-length', String(bytes))
}

const onRegistryError: ErrorRequestHandler = (error, _request, response, next) => {
  if (response.headersSent || (!(error instanceof RegistryError) && toApiError(error).status === 500))
    return next(error)
  const refusal =
    error instanceof RegistryError ? error : new RegistryError(400, 'UNSUPPORTED', toApiError(error).message)
  response.status(refusal.status).json({ errors: [{ code: refusal.code, message: refusal.message }] })
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
