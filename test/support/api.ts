import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { type IncomingMessage, type OutgoingHttpHeaders, request } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { TestContext } from 'node:test'
import type { Event, StreamLine } from '../../common/events.ts'
import { createServer, type ServerParts } from '../../service/api/server.ts'
import type { Blobs } from '../../service/blobs/blobs.ts'
import { openFileBlobs } from '../../service/blobs/files.ts'
import type { Database } from '../../service/database/database.ts'
import { append, lastSeq } from '../../service/database/events.ts'
import { openSqlite } from '../../service/database/sqlite.ts'
import { EmbeddedRegistry } from '../../service/registry/embedded.ts'
import { temporaryFolder } from './repositories.ts'
import { testSource } from './test-source.ts'

export const WEBHOOK_SECRET = 'a webhook secret of tests'
export const STATIC_TOKEN = 'a static token of tests'
export const CREDENTIAL = { username: 'node', password: 'a credential of tests' }

/** An answer, read to its end. */
export interface Answer {
  status: number
  headers: IncomingMessage['headers']
  text: string
  // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever came
  body: any
}

/** The HTTP server on a database and blobs of its own; no jobs run. */
export interface TestApi {
  url: string
  port: number
  database: Database
  blobs: Blobs
  registry: EmbeddedRegistry
  log: string[]
  /** Sends a request; objects are sent as JSON. */
  call(method: string, path: string, options?: CallOptions): Promise<Answer>
  /** A token for a repository. */
  token(repository?: string): Promise<string>
  /** Stores events as the event writer does, and tells of them. */
  tell(stream: string, ...events: (Partial<Event> & { kind: Event['kind'] })[]): Promise<void>
  close(): Promise<void>
}

export interface CallOptions {
  token?: string
  headers?: OutgoingHttpHeaders
  body?: unknown
}

/** Starts it on a free port; it is closed after the test. */
export async function startApi(t: Pick<TestContext, 'after'>, parts: Partial<ServerParts> = {}): Promise<TestApi> {
  const folder = await temporaryFolder(t)
  const database = openSqlite(folder)
  const blobs = await openFileBlobs(join(folder, 'blobs'))
  const log: string[] = []
  let port = 0
  const registry = new EmbeddedRegistry(database, blobs, () => `127.0.0.1:${port}`)
  const server = createServer({
    database,
    blobs,
    registry,
    source: testSource(t, folder, { database, blobs, gitUrl: new URL(`file://${folder}/hosts`) }),
    listen: { host: '127.0.0.1', port: 0 },
    webhookSecret: WEBHOOK_SECRET,
    tokens: [{ name: 'default', secret: STATIC_TOKEN, repositories: ['*'], permissions: ['run'] }],
    credential: CREDENTIAL,
    maxUploadBytes: 1_000_000,
    ready: async () => {},
    log: (line) => log.push(line),
    ...parts,
  })
  port = await server.listen()
  const close = async () => {
    await server.close()
    await database.close()
  }
  t.after(close)
  const api: TestApi = {
    url: `http://127.0.0.1:${port}`,
    port,
    database,
    blobs,
    registry,
    log,
    call: (method, path, options) => call(port, method, path, options),
    token: async (repository = 'octo/garden') => {
      const answer = await api.call('POST', '/v1/tokens', { body: { token: STATIC_TOKEN, repository } })
      return answer.body.token
    },
    tell: async (stream, ...events) => {
      const from = await lastSeq(database.events, stream)
      const time = new Date().toISOString()
      const rows = events.map((event, at) => ({
        stream,
        seq: from + 1 + at,
        event: JSON.stringify({ time, ...event }),
      }))
      await append(database.events, rows)
      database.notify(`events:${stream}`)
    },
    close,
  }
  return api
}

async function call(port: number, method: string, path: string, options: CallOptions = {}): Promise<Answer> {
  const { token, headers = {}, body } = options
  const raw = typeof body === 'string' || body instanceof Uint8Array
  const sent = body === undefined ? '' : raw ? body : JSON.stringify(body)
  const outgoing = request({
    port,
    host: '127.0.0.1',
    method,
    path,
    agent: false,
    headers: {
      ...(body !== undefined && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(sent) }),
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...headers,
    },
  })
  outgoing.end(sent)
  const [answer] = (await once(outgoing, 'response')) as [IncomingMessage]
  const got = await text(answer)
  const isJson = answer.headers['content-type']?.includes('json') ?? false
  const parsed = isJson && got !== '' && !got.includes('\n') ? JSON.parse(got) : undefined
  return { status: answer.statusCode ?? 0, headers: answer.headers, text: got, body: parsed }
}

/** The headers of a delivery as GitHub signs it. */
export function signed(body: string | Uint8Array, event: string, id: string, secret = WEBHOOK_SECRET) {
  return {
    'x-github-event': event,
    'x-github-delivery': id,
    'x-hub-signature-256': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`,
  }
}

/** Follows a stream of events line by line; ends with it, or when it is left. */
export async function* follow(api: TestApi, path: string, token: string): AsyncGenerator<StreamLine> {
  const outgoing = request({
    port: api.port,
    host: '127.0.0.1',
    path,
    agent: false,
    headers: { authorization: `Bearer ${token}` },
  })
  outgoing.end()
  try {
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage]
    let rest = ''
    for await (const chunk of answer.setEncoding('utf8')) {
      const lines = `${rest}${chunk}`.split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) yield JSON.parse(line) as StreamLine
    }
  } finally {
    outgoing.destroy()
  }
}
