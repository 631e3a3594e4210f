import { setFlagsFromString } from 'node:v8'
import { ConfigInvalid, loadConfig } from './config.ts'
import { FolderTaken } from './database/claim-folder.ts'
import { startService } from './wire.ts'
import type { Service } from './wire-work.ts'

/** How long what runs may take to end by itself when the service is told to stop, in milliseconds. */
const GRACE_MS = 10_000
const OLDEST_NODE = 24

/**
 * Buffers are this service's trade, and V8 collects all garbage each time that 64 MB of them were made: half of the time
 * of baking a large environment. With this it lets them grow with the heap, to three times what the last collection left.
 */
for (const flag of ['--external-memory-accounted-in-global-limit', '--heap-growing-percent=200'])
  setFlagsFromString(flag)

let lines = ''

/** Lines of one turn of the event loop are written together: a file is written synchronously. */
function log(line: string): void {
  if (lines === '') setImmediate(flush)
  lines += `${new Date().toISOString()} ${line}\n`
}

function flush(): void {
  process.stdout.write(lines)
  lines = ''
}

function checkNode(): void {
  if (Number.parseInt(process.versions.node, 10) >= OLDEST_NODE) return
  throw new Error(
    `This is Node ${process.version}; Node ${OLDEST_NODE} or later is needed. \`npm ci && npm start\` brings it.`,
  )
}

/** Resolves with the name of the first signal that asks for an end. A second one ends the process as usual. */
function told(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, resolve)
  })
}

async function main(): Promise<void> {
  checkNode()
  const end = told()
  const service: Service = await startService(loadConfig(process.env), log)
  log(`stopping: ${await end}`)
  await service.stop(GRACE_MS)
  log('stopped')
}

try {
  await main()
} catch (error) {
  const known = error instanceof ConfigInvalid || error instanceof FolderTaken
  log(known || !(error instanceof Error) ? String((error as Error).message ?? error) : (error.stack ?? error.message))
  process.exitCode = 1
}
