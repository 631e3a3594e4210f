import type { RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import express, { type ErrorRequestHandler, type RequestHandler, Router } from 'express'
import type { Blobs } from '../blobs/blobs.ts'
import type { Database } from '../database/database.ts'
import type { EmbeddedRegistry } from '../registry/embedded.ts'
import type { Source } from '../source/source.ts'
import { builds } from './builds.ts'
import { bundles, uploads } from './bundles.ts'
import { exchange, requireCaller, type StaticToken } from './caller.ts'
import { answerError, notFound, onlyMethods } from './errors.ts'
import { EventStreams } from './event-stream.ts'
import { hostCheck, onlyHosts } from './hosts.ts'
import { noLargerThan, within } from './limits.ts'
import { type Address, bracketed, close, listen, serverOf } from './listener.ts'
import { refs } from './refs.ts'
import { type Credential, registry } from './registry.ts'
import { runs } from './runs.ts'
import { type Webhook, webhook } from './webhook.ts'

const WEBHOOK = '/webhooks/github'
/** Time until an answer begins, in milliseconds, and until that of an upload does. */
const ANSWER_MS = 60_000
const UPLOAD_MS = 30 * 60_000
/** The largest JSON body: a commit object, or a command with its environment. */
const JSON_BYTES = 4 * 1024 * 1024
/** The same from those whose token is not checked yet. */
const STRANGER_BYTES = 64 * 1024

/** What the server needs. */
export interface ServerParts {
  database: Database
  blobs: Blobs
  registry: EmbeddedRegistry
  source: Pick<Source, 'resolve'>
  listen: Address
  /** A second listener, for the internet: webhooks and /v1 only. */
  listenPublic?: Address
  /** How clients reach it, where that is not `listen`. */
  publicUrl?: URL
  webhookSecret: string
  tokens: readonly StaticToken[]
  /** What nodes show to pull from /v2. */
  credential: Credential
  /** The largest blob that is taken, in bytes. */
  maxUploadBytes: number
  /** Whether the node can work: resolves, or throws what is missing. */
  ready(): Promise<void>
  log(line: string): void
}

export interface ApiServer {
  /** Listens; resolves with the port, which matters where 0 was asked for. */
  listen(): Promise<number>
  /** Takes nothing new, ends streams with a line, waits 10 s at most for what is under way. */
  close(): Promise<void>
}

/** The service's HTTP server; it listens when told to. */
export function createServer(parts: ServerParts): ApiServer {
  const streams = new EventStreams(parts.database, parts.log)
  const deliveries = webhook(parts.database, parts.webhookSecret, parts.log)
  const open = faces(parts, streams, deliveries)
  const main = serverOf(application(parts, deliveries, [open, nodeFaces(parts)]))
  const listeners = [{ server: main, address: parts.listen }]
  if (parts.listenPublic)
    listeners.push({ server: serverOf(application(parts, deliveries, [open])), address: parts.listenPublic })
  return {
    listen: async () => {
      for (const { server, address } of listeners) await listen(server, address)
      return (main.address() as AddressInfo).port
    },
    close: async () => {
      streams.close()
      await Promise.all(listeners.map(({ server }) => close(server)))
    },
  }
}

/** Webhooks and `/v1`. */
function faces(parts: ServerParts, streams: EventStreams, deliveries: Webhook) {
  const { database, blobs, source, tokens, maxUploadBytes } = parts
  const router = Router()
  const caller = requireCaller(database, tokens)
  const json = [within(ANSWER_MS), ...jsonUpTo(JSON_BYTES)]
  router.route(WEBHOOK).post(deliveries).all(onlyMethods('POST'))
  router
    .route('/v1/tokens')
    .post(within(ANSWER_MS), ...jsonUpTo(STRANGER_BYTES), exchange(database, tokens))
    .all(onlyMethods('POST'))
  router.use(
    '/v1/blobs',
    caller,
    within(UPLOAD_MS),
    noLargerThan(maxUploadBytes),
    uploads(database, blobs, maxUploadBytes),
  )
  router.use('/v1/runs', caller, ...json, runs(database, streams))
  router.use('/v1/builds', caller, ...json, builds(database, blobs, streams))
  router.use('/v1/refs', caller, ...json, refs(source))
  router.use('/v1/bundles', caller, ...json, bundles(database, blobs))
  return router
}

function jsonUpTo(bytes: number): RequestHandler[] {
  return [noLargerThan(bytes), express.json({ limit: bytes, strict: false })]
}

/** What only nodes and operators use. */
function nodeFaces({ database, registry: images, credential, ready }: ServerParts): Router {
  const router = Router()
  router.get('/healthz', (_request, response) => void response.json({ ok: true }))
  router.get('/readyz', within(ANSWER_MS), async (_request, response) => {
    try {
      await database.state.selectFrom('nodes').select('id').limit(1).execute()
      await ready()
      response.json({ ok: true })
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      response.status(503).json({ error: { code: 'not-ready', message, hint: "See the service's log." } })
    }
  })
  router.use('/v2', registry(images, credential))
  return router
}

/** The whole of a listener: who may ask, the faces, and what is said to the rest. */
function application(parts: ServerParts, deliveries: Webhook, routers: Router[]): RequestListener {
  const { listen, listenPublic, publicUrl, log } = parts
  const app = express()
  app.disable('x-powered-by').disable('etag').set('query parser', 'simple')
  const hosts = [listen, listenPublic].flatMap((address) => (address ? [bracketed(address.host)] : []))
  const isOurs = hostCheck(publicUrl ? [...hosts, publicUrl.hostname] : hosts)
  app.use(onlyHosts(isOurs))
  app.use(...routers)
  app.use(notFound)
  app.use(onError(log))
  return (request, response) => {
    // Deliveries come in bursts, and need nothing of what express does for a request.
    if (request.url === WEBHOOK && request.method === 'POST' && isOurs(request))
      deliveries(request, response).catch((error) => answerError(log, { error, request, response }, WEBHOOK))
    else app(request, response)
  }
}

function onError(log: (line: string) => void): ErrorRequestHandler {
  return (error, request, response, _next) => answerError(log, { error, request, response }, request.path)
}
