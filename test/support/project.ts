import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type * as z from 'zod/mini'
import {
  Build,
  type InterpreterRequest,
  Run,
  RunCreated,
  type RunRequest,
  TokenResponse,
} from '../../common/contract.ts'
import { type CacheAccount, type Event, StreamLine } from '../../common/events.ts'
import { sign } from '../../quickstart/push.ts'
import { type TestFile, TestRepository } from './repositories.ts'
import type { ServiceHome } from './service-process.ts'

const ANSWER_MS = 60_000
/** Nothing that is waited for here takes so long. */
const PATIENCE_MS = 120_000

/** An event, of which build or run it is, and where a stream is taken up behind it. */
export interface Told {
  of: string
  event: Event
  cursor: string
}

/** All that a run said from its first line to its end. */
export interface EndedRun {
  run: Run
  told: Told[]
  stdout: Buffer
  stderr: Buffer
  notes: string[]
  /** Names of its build's and its own stages. */
  stages: string[]
  cache: CacheAccount | undefined
  result: unknown
}

/** A refusal of the service. */
export class Refused extends Error {
  override name = 'Refused'
  readonly status: number
  readonly code: string
  readonly hint: string
  constructor(status: number, { code, message, hint }: { code: string; message: string; hint: string }) {
    super(message)
    this.status = status
    this.code = code
    this.hint = hint
  }
}

/** A repository on a git host in a folder, and the calls of a service in its name. */
export class Project {
  readonly name: string
  readonly repository: TestRepository
  readonly #home: ServiceHome
  /** As the git host numbers it. */
  readonly #number: number
  #token: string | undefined
  #tip: string | undefined

  private constructor(home: ServiceHome, name: string, repository: TestRepository, number: number) {
    this.#home = home
    this.name = name
    this.repository = repository
    this.#number = number
  }

  /** @param git the folder that `MEADOW_GIT_URL` points to */
  static async make(home: ServiceHome, git: string, name: string): Promise<Project> {
    const repository = await TestRepository.make(join(git, name))
    return new Project(home, name, repository, 1 + Math.floor(Math.random() * 2 ** 40))
  }

  /** A commit on `main`, or on another branch. */
  async commit(files: Record<string, TestFile>, ref = 'refs/heads/main'): Promise<string> {
    const parents = this.#tip === undefined ? [] : [this.#tip]
    this.#tip = await this.repository.commit(files, { parents, ref })
    return this.#tip
  }

  /** The body of the webhook of a push. */
  pushBody(commit: string, ref = 'refs/heads/main'): string {
    return JSON.stringify({
      ref,
      before: '0'.repeat(40),
      after: commit,
      deleted: false,
      repository: { id: this.#number, full_name: this.name, default_branch: 'main' },
    })
  }

  /** Tells the service of a push. What it says that it did. */
  async push(commit: string, { ref }: { ref?: string } = {}): Promise<string> {
    return await this.deliver(this.pushBody(commit, ref))
  }

  /** Sends a signed delivery, under an id of its own. What the service says that it did. */
  async deliver(body: string): Promise<string> {
    const headers = {
      'x-github-event': 'push',
      'x-github-delivery': randomUUID(),
      'x-hub-signature-256': sign(body, this.#home.webhookSecret),
    }
    const answer = await this.#fetch('/webhooks/github', { method: 'POST', body, headers })
    return ((await answer.json()) as { did: string }).did
  }

  /** Asks for a build; one that is under way is joined. Its id. */
  async build(commit: string, interpreter: Partial<InterpreterRequest> = {}): Promise<string> {
    const body = { repository: this.name, commit, ...interpreter }
    return ((await this.call('POST', '/v1/builds', body)) as { id: string }).id
  }

  /** Waits for a build's end. */
  async built(id: string, patience = PATIENCE_MS): Promise<Build> {
    return await this.#until(
      async () => {
        const build = Build.parse(await this.call('GET', `/v1/builds/${id}`))
        return build.state === 'finished' || build.state === 'failed' ? build : undefined
      },
      `the end of ${id}`,
      patience,
    )
  }

  /** Submits a run of a commit. Its id. */
  async submit(commit: string, request: Partial<z.input<typeof RunRequest>>): Promise<string> {
    const body = { repository: this.name, commit, ...request }
    return RunCreated.parse(await this.call('POST', '/v1/runs', body)).id
  }

  async run(id: string): Promise<Run> {
    return Run.parse(await this.call('GET', `/v1/runs/${id}`))
  }

  /** Submits a run and follows it to its end. */
  async ran(commit: string, request: Partial<z.input<typeof RunRequest>>): Promise<EndedRun> {
    return await this.ended(await this.submit(commit, request))
  }

  /** All that a run says until its end. */
  async ended(id: string): Promise<EndedRun> {
    const told: Told[] = []
    for await (const each of this.events(id)) told.push(each)
    return summed(id, await this.run(id), told)
  }

  /**
   * The events of a run or build as they come, from the first or behind a cursor; ends with the stream.
   * @throws {Error} where the stream breaks off
   */
  async *events(id: string, after?: string): AsyncGenerator<Told> {
    const kind = id.startsWith('run_') ? 'runs' : 'builds'
    const query = after === undefined ? '' : `?after=${after}`
    const answer = await this.#authorized('GET', `/v1/${kind}/${id}/events${query}`, undefined, PATIENCE_MS)
    for await (const text of linesOf(answer)) {
      const line = StreamLine.parse(JSON.parse(text))
      if ('event' in line) yield line
      if ('error' in line) throw new Error(line.error.message)
      if ('end' in line) return
    }
    throw new Error(`the events of ${id} broke off`)
  }

  /** Follows a run or build until an event of it is as wanted. All up to that one. */
  async eventsUntil(id: string, wanted: (event: Event) => boolean): Promise<Told[]> {
    const told: Told[] = []
    for await (const each of this.events(id)) {
      told.push(each)
      if (wanted(each.event)) return told
    }
    throw new Error(`${id} ended without what was waited for: ${JSON.stringify(told.map(({ event }) => event))}`)
  }

  /** The notes of a build or run that ends, its build's among them. */
  async notes(id: string): Promise<string[]> {
    const notes: string[] = []
    for await (const { event } of this.events(id)) if (event.kind === 'note') notes.push(event.text)
    return notes
  }

  /**
   * Follows a run until it has printed a text on one of its streams. All up to there. Output may come in pieces that are
   * cut anywhere: its last letters are held for a moment where a secret begins with them.
   */
  async printedUntil(id: string, text: string): Promise<Told[]> {
    const printed = { stdout: '', stderr: '' }
    return await this.eventsUntil(id, (event) => {
      if (event.kind !== 'log') return false
      printed[event.stream] += event.text ?? ''
      return printed[event.stream].includes(text)
    })
  }

  async cancel(id: string): Promise<void> {
    await this.call('POST', `/v1/runs/${id}/cancel`)
  }

  /**
   * Any call of `/v1`, with a token of this repository.
   * @throws {Refused}
   */
  async call(method: string, path: string, body?: unknown): Promise<unknown> {
    return await (await this.#authorized(method, path, body, ANSWER_MS)).json()
  }

  /** What a call answers that is no JSON. */
  async text(path: string): Promise<string> {
    return await (await this.#authorized('GET', path, undefined, ANSWER_MS)).text()
  }

  async #authorized(method: string, path: string, body: unknown, limit: number): Promise<Response> {
    this.#token ??= await this.#signIn()
    const headers = { authorization: `Bearer ${this.#token}` }
    return await this.#fetch(
      path,
      { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) },
      limit,
    )
  }

  async #signIn(): Promise<string> {
    const body = JSON.stringify({ token: this.#home.token, repository: this.name })
    return TokenResponse.parse(await (await this.#fetch('/v1/tokens', { method: 'POST', body })).json()).token
  }

  async #fetch(path: string, init: RequestInit, limit = ANSWER_MS): Promise<Response> {
    const answer = await fetch(`${this.#home.url}${path}`, {
      ...init,
      headers: { 'content-type': 'application/json', ...init.headers },
      signal: AbortSignal.timeout(limit),
    })
    if (answer.ok) return answer
    throw new Refused(answer.status, ((await answer.json()) as { error: Refused }).error)
  }

  async #until<T>(look: () => Promise<T | undefined>, what: string, patience = PATIENCE_MS): Promise<T> {
    const limit = Date.now() + patience
    for (;;) {
      const found = await look()
      if (found !== undefined) return found
      if (Date.now() > limit) throw new Error(`${what} did not come within ${patience / 1000} s`)
      await sleep(20)
    }
  }
}

/** Whoever leaves early ends the answer too. */
async function* linesOf({ body }: Response): AsyncGenerator<string> {
  let rest = ''
  for await (const chunk of body?.pipeThrough(new TextDecoderStream()) ?? []) {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    yield* lines
  }
}

/** What a run's events come to. */
export function summed(id: string, run: Run, told: Told[]): EndedRun {
  const own = told.filter(({ of }) => of === id).map(({ event }) => event)
  const bytes = (fd: string) =>
    Buffer.concat(
      own.flatMap((event) => {
        if (event.kind !== 'log' || event.stream !== fd) return []
        return event.base64 === undefined ? Buffer.from(event.text ?? '') : Buffer.from(event.base64, 'base64')
      }),
    )
  return {
    run,
    told,
    stdout: bytes('stdout'),
    stderr: bytes('stderr'),
    notes: told.flatMap(({ event }) => (event.kind === 'note' ? event.text : [])),
    stages: told.flatMap(({ event }) => (event.kind === 'stage' ? event.name : [])),
    cache: own.find((event) => event.kind === 'cache'),
    result: own.find((event) => event.kind === 'result')?.value,
  }
}
