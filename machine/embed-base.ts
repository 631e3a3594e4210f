import { createReadStream, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { openFileBlobs } from '../service/blobs/files.ts'
import type { Config } from '../service/config.ts'
import { openSqlite } from '../service/database/sqlite.ts'
import { parseBaseName } from '../service/registry/base-name.ts'
import { RegistryClient } from '../service/registry/client.ts'
import { EmbeddedRegistry } from '../service/registry/embedded.ts'
import { RegistryFailed } from '../service/registry/failed.ts'
import { importBase } from '../service/registry/import-base.ts'
import type { Say } from './command.ts'
import { standInRootfs } from './debootstrap.ts'
import { findStandIn, STAND_IN_CONFIG } from './stand-ins.ts'

const ASK_SECONDS = 20
/** As OCI names them. */
const ARCHITECTURES: Partial<Record<NodeJS.Architecture, string>> = { x64: 'amd64', arm64: 'arm64' }

/** Where a base image comes from now: it was there, a registry has it, or it was made. */
export type BaseOrigin = 'embedded' | 'registry' | 'made'

/**
 * Sees that the service with these settings finds a base image: in its data folder, in the registry that bases come
 * from, or else as a stand-in that is made here and written into the data folder's registry.
 * @throws {RangeError} when nobody has it and no stand-in can be made for the name
 * @throws {SetupImpossible} when a stand-in can't be made on this machine
 */
export async function embedBase(name: string, config: Config, { say }: { say: Say }): Promise<BaseOrigin> {
  const { repository, reference } = parseBaseName(name, config.baseRegistry.host)
  const database = openSqlite(config.data)
  try {
    const blobs = await openFileBlobs(join(config.data, 'blobs'))
    // Only what pulls needs the host; here nothing is pulled.
    const registry = new EmbeddedRegistry(database, blobs, () => '')
    if (await registry.get(repository, reference)) return 'embedded'
    if (await hasImage(config, repository, reference, say)) return 'registry'
    const rootfs = await standInRootfs(findStandIn(name), { say })
    say(`Writing ${name} into the registry of ${config.data} …`)
    await importBase(registry, blobs, name, createReadStream(rootfs, { highWaterMark: 1024 * 1024 }), {
      architecture: ARCHITECTURES[process.arch] ?? process.arch,
      env: STAND_IN_CONFIG.Env,
      command: STAND_IN_CONFIG.Cmd,
    })
    return 'made'
  } finally {
    await database.close()
  }
}

/** A registry that can't be asked has nothing for us. */
async function hasImage(config: Config, repository: string, reference: string, say: Say): Promise<boolean> {
  const { baseRegistry: url, caBundle } = config
  const client = new RegistryClient({ url, ...(caBundle && { ca: readFileSync(caBundle, 'utf8') }) })
  try {
    return (await client.manifest(repository, reference, AbortSignal.timeout(ASK_SECONDS * 1000))) !== undefined
  } catch (error) {
    if (!(error instanceof RegistryFailed) && (error as Error).name !== 'TimeoutError') throw error
    say(`No registry gives it: ${(error as Error).message}`)
    return false
  } finally {
    await client.close()
  }
}
