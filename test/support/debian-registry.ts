import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

/**
 * Debian's docker-registry on a free loopback port, with its data in a folder of the caller's.
 * @returns `127.0.0.1:<port>`, and the way to end it
 */
export async function startRegistry(folder: string): Promise<{ host: string; stop: () => Promise<void> }> {
  await mkdir(folder, { recursive: true })
  const config = join(folder, 'config.json')
  // JSON is YAML.
  await writeFile(
    config,
    JSON.stringify({
      version: 0.1,
      log: { level: 'info', formatter: 'json' },
      storage: { filesystem: { rootdirectory: join(folder, 'data') } },
      http: { addr: '127.0.0.1:0' },
    }),
  )
  const registry = spawn('docker-registry', ['serve', config], { stdio: ['ignore', 'ignore', 'pipe'] })
  const ended = once(registry, 'exit')
  const stop = async () => {
    registry.kill()
    await ended
  }
  try {
    return { host: await listening(registry.stderr), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function listening(log: NodeJS.ReadableStream): Promise<string> {
  const lines = createInterface({ input: log, signal: AbortSignal.timeout(30_000) })
  for await (const line of lines) {
    const host = /listening on (127\.0\.0\.1:\d+)/.exec(line)?.[1]
    if (host === undefined) continue
    log.resume()
    return host
  }
  throw new Error('docker-registry ended before it listened')
}
