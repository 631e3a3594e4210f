import { randomBytes, randomUUID } from 'node:crypto'
import { mkdir, open, readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** What a data folder remembers from start to start, besides databases and blobs. */
export interface DataFolder {
  path: string
  /** The node's id: containers carry it, jobs are leased to it. */
  node: string
  /** The static token for all repositories, where the settings have none. */
  token: string
  webhookSecret: string
  /** What the engine shows to pull from `/v2`. */
  pullPassword: string
  /** Names of what was made just now, to be shown once. */
  made: ReadonlySet<string>
}

/**
 * Opens a data folder, making it where it is missing. Secrets are random, one file each, readable by their owner alone:
 * nothing is ever open because somebody forgot to set a secret.
 */
export async function openDataFolder(path: string): Promise<DataFolder> {
  await mkdir(path, { recursive: true, mode: 0o700 })
  const made = new Set<string>()
  const remembered = async (name: string, make: () => string): Promise<string> => {
    const file = join(path, name)
    try {
      const handle = await open(file, 'wx', 0o600)
      try {
        const value = make()
        await handle.writeFile(`${value}\n`)
        await handle.sync()
        made.add(name)
        return value
      } finally {
        await handle.close()
      }
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
      const value = (await readFile(file, 'utf8')).trim()
      // A crash between making and writing leaves nothing in it.
      if (value === '') throw new Error(`${file} is empty: remove it, and a new one is made`)
      return value
    }
  }
  const secret = () => randomBytes(32).toString('base64url')
  return {
    path,
    node: await remembered('node-id', () => `node_${randomUUID()}`),
    token: await remembered('token', secret),
    webhookSecret: await remembered('webhook-secret', secret),
    pullPassword: await remembered('pull-password', secret),
    made,
  }
}
