import { createInterface } from 'node:readline'
import { addAbortSignal, type Readable } from 'node:stream'
import type { DockerConnection } from './docker-connection.ts'
import { engineError } from './docker-errors.ts'
import {
  DiskFull,
  EngineRefused,
  EngineUnavailable,
  PullFailed,
  type PullOptions,
  type PullProgress,
} from './engine.ts'
import { noProgress } from './no-progress.ts'

const STALL = 300_000

/** One line of the answer to `POST /images/create`. */
interface PullItem {
  id?: string
  status?: string
  error?: string
}

/**
 * Pulls an image. Docker answers 200 before it begins, so failures come as items of the stream.
 * @throws {PullFailed | EngineUnavailable | DiskFull}
 */
export async function pullImage(connection: DockerConnection, image: string, options: PullOptions): Promise<void> {
  using stall = noProgress(STALL)
  const doing = `pull ${image}`
  const signal = options.signal ? AbortSignal.any([stall.signal, options.signal]) : stall.signal
  const auth = options.credential && { authconfig: { ...options.credential, serveraddress: image.split('/', 1)[0] } }
  try {
    const stream = await connection.call(
      doing,
      undefined,
      (docker, abortSignal) => docker.pull(image, { ...auth, abortSignal } as object) as Promise<Readable>,
      signal,
    )
    addAbortSignal(signal, stream)
    await follow(stream, stall.tick, options.onProgress)
  } catch (error) {
    options.signal?.throwIfAborted()
    if (stall.signal.aborted)
      throw new PullFailed(`cannot ${doing}: no progress in ${STALL / 1000} s`, { cause: error })
    const typed = error instanceof PullFailed ? error : engineError(error, doing, connection.where)
    throw typed instanceof EngineRefused ? new PullFailed(typed.message, { cause: error }) : typed
  }
}

async function follow(stream: Readable, tick: () => void, onProgress?: (progress: PullProgress) => void) {
  const layers = new Map<string, boolean>()
  let last: string | undefined
  // An interface, not `stream` itself: lines may be cut anywhere. It does not pass errors on.
  const broken = new Promise<never>((_, reject) => {
    stream.on('error', reject)
    stream.on('aborted', () => reject(new EngineUnavailable('Docker broke off the pull')))
  })
  const read = async () => {
    for await (const line of createInterface({ input: stream })) {
      tick()
      if (line === '') continue
      const item = JSON.parse(line) as PullItem
      if (item.error !== undefined) throw refused(item.error)
      last = item.status
      if (item.id !== undefined && note(layers, item.id, item.status ?? '')) onProgress?.(count(layers))
    }
    if (last === undefined) throw new EngineUnavailable('Docker broke off the pull')
  }
  await Promise.race([read(), broken])
}

function refused(said: string): Error {
  return /no space left on device/i.test(said) ? new DiskFull(said) : new PullFailed(said)
}

/** Whether the item changed the count. */
function note(layers: Map<string, boolean>, id: string, status: string): boolean {
  const done = status === 'Pull complete' || status === 'Already exists'
  if (!done && status !== 'Pulling fs layer') return false
  const before = layers.get(id)
  layers.set(id, done)
  return before !== done
}

function count(layers: Map<string, boolean>): PullProgress {
  return { layersDone: [...layers.values()].filter(Boolean).length, layersTotal: layers.size }
}
