import { setTimeout as delay } from 'node:timers/promises'
import { type Event, StreamLine } from '../common/events.ts'
import { ServiceRefused, ServiceUnreachable } from './errors.ts'
import type { Http } from './http.ts'

/** An event, and the build or run that it is of. */
export interface FollowedEvent {
  of: string
  event: Event
}

export interface FollowOptions {
  signal?: AbortSignal | undefined
  /** Milliseconds without any line, heartbeats included, after which a connection counts as dead. */
  silence?: number
  /** Milliseconds without any line, over all reconnections, after which it gives up. */
  patience?: number
  /** Called when the stream broke and is taken up again. */
  onBreak?: (why: string) => void
}

/**
 * The events of a run from its first, in order, each once. Where the stream breaks it is taken up behind the last event
 * that came.
 * @throws {ServiceUnreachable} when the service was silent for longer than the patience
 * @throws {ServiceRefused} when it refuses
 */
export async function* follow(http: Http, run: string, options: FollowOptions = {}): AsyncGenerator<FollowedEvent> {
  const { signal, silence = 45_000, patience = 300_000, onBreak } = options
  let after = ''
  let heard = performance.now()
  for (let pause = 100; ; pause = Math.min(pause * 2, 5000)) {
    let why = 'it ended early'
    try {
      for await (const line of lines(http, `/v1/runs/${run}/events${after}`, silence, signal)) {
        heard = performance.now()
        pause = 100
        if ('end' in line) return
        if ('error' in line) throw new Broken(line.error.message)
        if ('heartbeat' in line) continue
        yield { of: line.of, event: line.event }
        after = `?after=${encodeURIComponent(line.cursor)}`
      }
    } catch (error) {
      signal?.throwIfAborted()
      if (error instanceof ServiceRefused && error.status < 500) throw error
      if (!isBreak(error)) throw error
      why = error.message
    }
    if (performance.now() - heard + pause > patience) {
      const hint = `The run may still be under way. See the service's log for ${run}.`
      throw new ServiceUnreachable(http.url, `the events of ${run} broke off (${why})`, hint)
    }
    onBreak?.(why)
    await delay(pause, undefined, { signal })
  }
}

/** The connection is of no more use. */
class Broken extends Error {}

function isBreak(error: unknown): error is Error {
  return error instanceof Broken || error instanceof ServiceRefused || error instanceof ServiceUnreachable
}

/** The lines of one connection. A last line that has no end is left out: it comes again. */
async function* lines(
  http: Http,
  path: string,
  silence: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<StreamLine> {
  const connection = new AbortController()
  const stop = () => connection.abort(signal?.reason)
  signal?.addEventListener('abort', stop, { once: true })
  const timer = setTimeout(() => connection.abort(new Broken(`nothing came for ${silence / 1000} s`)), silence)
  try {
    // The stream lasts as long as the run: the silence is its only limit.
    const response = await http.open(path, { signal: connection.signal, timeout: 2 ** 31 - 1 })
    const decoder = new TextDecoder()
    let rest = ''
    for await (const chunk of body(response, connection.signal)) {
      timer.refresh()
      const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n')
      rest = parts.pop() ?? ''
      for (const part of parts) if (part !== '') yield parse(part)
    }
  } catch (error) {
    throw connection.signal.aborted ? connection.signal.reason : error
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', stop)
    connection.abort()
  }
}

async function* body(response: Response, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  try {
    if (response.body) yield* response.body
  } catch (error) {
    signal.throwIfAborted()
    throw new Broken(error instanceof Error ? error.message : String(error))
  }
}

function parse(line: string): StreamLine {
  try {
    return StreamLine.parse(JSON.parse(line))
  } catch {
    throw new Broken('a line came that is no event')
  }
}
