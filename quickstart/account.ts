import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { Build, Run, RunCreated, type RunRequest, TokenResponse } from '../common/contract.ts'
import { type CacheAccount, type Event, StreamLine } from '../common/events.ts'
import type { ServiceProcess } from './service.ts'

/** A build, from its first event to its last. */
const EVENTS_MS = 15 * 60_000
const ANSWER_MS = 30_000

/** Asks the service what happened: every figure that the quickstart shows comes from here. */
export class Account {
  readonly #url: string
  readonly #token: string
  readonly #repository: string

  private constructor(url: string, token: string, repository: string) {
    this.#url = url
    this.#token = token
    this.#repository = repository
  }

  /** Exchanges the service's own token for one that is bound to a repository, as every caller of `/v1` does. */
  static async open(service: ServiceProcess, repository: string): Promise<Account> {
    const body = JSON.stringify({ token: service.token, repository })
    const answer = await ask(`${service.url}/v1/tokens`, { method: 'POST', body })
    return new Account(service.url, TokenResponse.parse(await answer.json()).token, repository)
  }

  /**
   * Waits for the build that a push began; asking for a build that is under way joins it.
   * @throws {Error} with what the build failed of
   */
  async awaitBuild(commit: string): Promise<{ id: string; cache: CacheAccount }> {
    const body = JSON.stringify({ repository: this.#repository, commit })
    const { id } = (await (await this.#ask('/v1/builds', { method: 'POST', body })).json()) as { id: string }
    for await (const _ of this.events(id)); // Its stream ends when it does.
    const build = Build.parse(await (await this.#ask(`/v1/builds/${id}`)).json())
    if (build.state === 'finished' && build.cache) return { id, cache: build.cache }
    throw new Error(`The build failed: ${build.message}\n${build.hint}`)
  }

  async run(id: string): Promise<Run> {
    return Run.parse(await (await this.#ask(`/v1/runs/${id}`)).json())
  }

  async submit(request: Pick<RunRequest, 'repository' | 'commit' | 'args'>): Promise<string> {
    const answer = await this.#ask('/v1/runs', { method: 'POST', body: JSON.stringify(request) })
    return RunCreated.parse(await answer.json()).id
  }

  /**
   * The events of a run or build from the first to the last, as they come. A run's stream has those of the build that
   * it waits for too; `of` says whose each is.
   */
  async *events(id: string): AsyncGenerator<{ of: string; event: Event }> {
    const path = `/v1/${id.startsWith('bld_') ? 'builds' : 'runs'}/${id}/events`
    const answer = await this.#ask(path, { signal: AbortSignal.timeout(EVENTS_MS) })
    if (!answer.body) throw new Error('An event stream has no body')
    for await (const text of createInterface(Readable.fromWeb(answer.body as never))) {
      const line = StreamLine.parse(JSON.parse(text))
      if ('event' in line) yield line
      if ('error' in line) throw new Error(line.error.message)
      if ('end' in line) return
    }
  }

  async #ask(path: string, init: RequestInit = {}): Promise<Response> {
    return await ask(`${this.#url}${path}`, init, this.#token)
  }
}

async function ask(url: string, init: RequestInit, token?: string): Promise<Response> {
  const headers = { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) }
  const answer = await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS), ...init, headers })
  if (answer.ok) return answer
  throw new Error(`${init.method ?? 'GET'} ${url} was answered ${answer.status}: ${await answer.text()}`)
}
