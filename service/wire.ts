import { join } from 'node:path'
import { createServer } from './api/server.ts'
import type { Config } from './config.ts'
import type { DataFolder } from './data-folder.ts'
import { reachEngine } from './engine/reach.ts'
import { type Log, nodeHost, openState } from './wire-state.ts'
import { type Service, startWork } from './wire-work.ts'

/** The largest bundle that is taken, in bytes. */
const MOST_UPLOAD_BYTES = 4 * 2 ** 30

/**
 * Puts the service together and starts it: it listens at once, and works as soon as the engine answers. The files
 * `wire*.ts` are the only ones that construct its parts.
 */
export async function startService(config: Config, log: Log): Promise<Service> {
  await using opened = new AsyncDisposableStack()
  let port = config.listen.port
  const state = await openState(config, log, () => port, opened)
  const { folder, database, blobs, registry, source, engine, credential } = state

  const halt = new AbortController()
  const working = Promise.withResolvers<Service>()
  let notReady = 'the container engine was not asked yet'
  const server = createServer({
    ...{ database, blobs, registry, source, credential, log },
    listen: config.listen,
    ...(config.listenPublic && { listenPublic: config.listenPublic }),
    ...(config.publicUrl && { publicUrl: config.publicUrl }),
    webhookSecret: config.webhookSecret ?? folder.webhookSecret,
    tokens: config.tokens ?? [{ name: 'default', secret: folder.token, repositories: ['*'], permissions: ['run'] }],
    maxUploadBytes: MOST_UPLOAD_BYTES,
    ready: async () => {
      if (notReady !== '') throw new Error(notReady)
      await engine.info()
    },
  })
  port = await server.listen()
  opened.defer(() => server.close())
  log(`listening on http://${nodeHost(config.listen.host)}:${port}`)
  sayOnce(config, folder, log)

  const work = async () => {
    const info = await reachEngine(engine, halt.signal, (why) => {
      notReady = why
      log(`waiting for the container engine: ${why}`)
    })
    working.resolve(await startWork(state, info))
    notReady = ''
  }
  const begun = work().catch((error: unknown) => {
    if (!halt.signal.aborted) log(`the service cannot work: ${error instanceof Error ? error.stack : error}`)
    notReady = String(error)
    working.resolve({ stop: async () => {} })
  })
  const closing = opened.move()
  return {
    stop: async (graceMs) => {
      halt.abort(new Error('the service stops'))
      await begun
      await (await working.promise).stop(graceMs)
      await closing.disposeAsync()
    },
  }
}

/** Secrets that were made just now are shown once; later they are only in their files. */
function sayOnce({ tokens, webhookSecret }: Config, { path, made, ...secrets }: DataFolder, log: Log): void {
  if (tokens === undefined && made.has('token')) log(`token: ${secrets.token} (kept in ${join(path, 'token')})`)
  if (webhookSecret === undefined && made.has('webhook-secret')) {
    log(`webhook secret: ${secrets.webhookSecret} (kept in ${join(path, 'webhook-secret')})`)
  }
}
