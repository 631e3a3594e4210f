import { join } from 'node:path'
import type { Blobs } from './blobs/blobs.ts'
import { openFileBlobs } from './blobs/files.ts'
import type { Config } from './config.ts'
import { type DataFolder, openDataFolder } from './data-folder.ts'
import { claimFolder } from './database/claim-folder.ts'
import type { Database } from './database/database.ts'
import { openSqlite } from './database/sqlite.ts'
import { dockerEngine } from './engine/docker.ts'
import type { Engine } from './engine/engine.ts'
import { type Authorities, allAuthorities } from './fetch/authorities.ts'
import { createFetcher } from './fetch/fetcher.ts'
import { EmbeddedRegistry } from './registry/embedded.ts'
import { createSource, type Source } from './source/source.ts'

/** Takes a line for whoever runs the service. */
export type Log = (line: string) => void

/** What outlives a restart, and who asks for it. */
export interface State {
  config: Config
  folder: DataFolder
  database: Database
  blobs: Blobs
  registry: EmbeddedRegistry
  source: Source
  engine: Engine
  /** What an engine shows to the embedded registry. */
  credential: { username: string; password: string }
  /** All that are trusted where the operator names further ones. */
  authorities: Authorities | undefined
  log: Log
}

/**
 * Opens the data folder and what lies in it.
 * @param port gives the one that the service listens on, once it does
 * @param opened is given what is to be closed
 */
export async function openState(
  config: Config,
  log: Log,
  port: () => number,
  opened: AsyncDisposableStack,
): Promise<State> {
  opened.defer(claimFolder(config.data))
  const folder = await openDataFolder(config.data)
  const database = openSqlite(config.data)
  opened.defer(() => database.close())
  const blobs = await openFileBlobs(join(config.data, 'blobs'))
  const engine = dockerEngine({ socketPath: config.engineSocket, reachable: config.indexUrl ? [config.indexUrl] : [] })
  opened.defer(() => engine.close())
  const registry = new EmbeddedRegistry(database, blobs, () => `${nodeHost(config.listen.host)}:${port()}`)
  const credential = { username: 'node', password: folder.pullPassword }
  const authorities = config.caBundle === undefined ? undefined : await allAuthorities(config.caBundle, config.data)
  const ca = authorities && { ca: authorities.text }
  const checkout = { folder: join(config.data, 'git'), gitUrl: config.gitUrl, caBundle: authorities?.file }
  // A lock file's URLs must not reach the git host: this one is for the git host's own files.
  const fetcher = createFetcher({ allowedHosts: [config.gitUrl.host], folder: join(config.data, 'work'), ...ca })
  opened.defer(() => fetcher.close())
  const source = createSource({ database, blobs, checkout, fetcher })
  opened.defer(() => source.close())
  return { config, folder, database, blobs, registry, source, engine, credential, authorities, log }
}

/** How this machine's own engine reaches a listener. */
export function nodeHost(host: string): string {
  return ['0.0.0.0', '::', 'localhost'].includes(host) ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host
}
