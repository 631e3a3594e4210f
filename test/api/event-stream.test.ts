import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { StreamLine } from '../../common/events.ts'
import { EventFollower } from '../../service/api/event-follower.ts'
import { EventLines } from '../../service/api/event-lines.ts'
import { finishBuild, openBuild } from '../../service/database/builds.ts'
import { finishRun } from '../../service/database/runs.ts'
import { follow, startApi, type TestApi } from '../support/api.ts'

interface Subject {
  api: TestApi
  token: string
  run: string
  build: string
  /** The lines of the run's stream behind a cursor, as they come. */
  lines(after?: string): AsyncGenerator<StreamLine>
}

/** A run and a build of one repository, without events. */
async function subject(t: TestContext): Promise<Subject> {
  const api = await startApi(t)
  const token = await api.token()
  const body = { repository: 'octo/garden', commit: 'a'.repeat(40), command: 'x' }
  const { id: run } = (await api.call('POST', '/v1/runs', { token, body })).body
  const { domain } = await api.database.state.selectFrom('runs').selectAll().executeTakeFirstOrThrow()
  const { build } = await api.database.write(({ db }) => openBuild(db, { domain, key: 'k', request: '{}', now: 1 }))
  const path = (after?: string) => `/v1/runs/${run}/events${after === undefined ? '' : `?after=${after}`}`
  return { api, token, run, build: build.id, lines: (after) => follow(api, path(after), token) }
}

/** Short names of lines: the cursor and what it brings. */
function brief(line: StreamLine): string {
  if ('event' in line) {
    const { event } = line
    const what = event.kind === 'state' ? event.state : event.kind === 'log' ? event.text : event.kind
    return `${line.of.slice(0, 3)} ${line.cursor} ${what}`
  }
  return Object.keys(line)[0] as string
}

async function take(lines: AsyncGenerator<StreamLine>, count: number): Promise<string[]> {
  const taken: string[] = []
  while (taken.length < count) {
    const next = await lines.next()
    if (next.done) break
    taken.push(brief(StreamLine.parse(next.value)))
  }
  return taken
}

const all = async (lines: AsyncGenerator<StreamLine>) => await take(lines, Number.POSITIVE_INFINITY)
const log = (text: string) => ({ kind: 'log', stream: 'stdout', text }) as const

test('a run that is over is told to its end', async (t) => {
  const { api, run, lines } = await subject(t)
  await api.tell(run, { kind: 'state', state: 'queued' }, log('one'), log('two'))
  await api.tell(run, { kind: 'state', state: 'finished', outcome: 'ok', 'exit-code': 0 })
  assert.deepEqual(await all(lines()), ['run 1 queued', 'run 2 one', 'run 3 two', 'run 4 finished', 'end'])
  assert.deepEqual(await all(lines('2')), ['run 3 two', 'run 4 finished', 'end'])
})

test('events come while they happen', async (t) => {
  const { api, run, lines } = await subject(t)
  const live = lines()
  const first = take(live, 1)
  await api.tell(run, log('one'))
  assert.deepEqual(await first, ['run 1 one'])
  await api.tell(run, log('two'), { kind: 'state', state: 'finished' })
  assert.deepEqual(await all(live), ['run 2 two', 'run 3 finished', 'end'])
})

test('the build that a run waits for is told in its place, from its first line', async (t) => {
  const { api, run, build, lines } = await subject(t)
  await api.tell(build, { kind: 'state', state: 'building' }, log('resolve'))
  await api.tell(run, { kind: 'state', state: 'queued' }, { kind: 'state', state: 'building', build })
  // The run goes on only when its build has ended; its events wait even where they are there before.
  await api.tell(run, { kind: 'state', state: 'starting' })
  const live = lines()
  const begin = ['run 1 queued', 'run 2 building', 'bld 2.1 building', 'bld 2.2 resolve']
  assert.deepEqual(await take(live, 4), begin)
  await api.tell(build, log('pull'), { kind: 'state', state: 'finished' })
  assert.deepEqual(await take(live, 3), ['bld 2.3 pull', 'bld 2.4 finished', 'run 3 starting'])
  await api.tell(run, { kind: 'state', state: 'finished' })
  const rest = ['run 4 finished', 'end']
  assert.deepEqual(await all(live), rest)

  const whole = [...begin, 'bld 2.3 pull', 'bld 2.4 finished', 'run 3 starting', ...rest]
  assert.deepEqual(await all(lines()), whole)
  for (const [at, line] of whole.slice(0, -1).entries()) {
    assert.deepEqual(await all(lines(line.split(' ')[1])), whole.slice(at + 1), `behind ${line}`)
  }
})

test('a run that ends before its build does not wait for it', async (t) => {
  const { api, run, build, lines } = await subject(t)
  await api.tell(build, { kind: 'state', state: 'building' })
  await api.tell(run, { kind: 'state', state: 'building', build })
  const live = lines()
  assert.deepEqual(await take(live, 2), ['run 1 building', 'bld 1.1 building'])
  await api.tell(run, { kind: 'state', state: 'finished', outcome: 'cancelled' })
  await api.database.write(async ({ db, notify }) => {
    await finishRun(db, run, { outcome: 'cancelled', now: 1 })
    notify(`events:${run}`)
  })
  assert.deepEqual(await all(live), ['run 2 finished', 'end'])
})

test('a last event that was lost ends nothing for ever', async (t) => {
  const { api, run, build, lines } = await subject(t)
  await api.tell(build, log('resolve'))
  await api.tell(run, { kind: 'state', state: 'building', build }, log('one'))
  await api.database.write(({ db }) =>
    finishBuild(db, { id: build, image: `sha256:${'0'.repeat(64)}`, cache: '{}', now: 1 }),
  )
  const live = lines()
  assert.deepEqual(await take(live, 3), ['run 1 building', 'bld 1.1 resolve', 'run 2 one'])
  await api.database.write(async ({ db, notify }) => {
    await finishRun(db, run, { outcome: 'lost', now: 1 })
    notify(`events:${run}`)
  })
  assert.deepEqual(await all(live), ['end'])
})

test("a build's own stream", async (t) => {
  const { api, token, build } = await subject(t)
  await api.tell(build, log('resolve'), { kind: 'state', state: 'failed', message: 'm', hint: 'h' })
  const lines = follow(api, `/v1/builds/${build}/events`, token)
  assert.deepEqual(await all(lines), ['bld 1 resolve', 'bld 2 failed', 'end'])
})

test('a result or log that looks like a state is none', async (t) => {
  const { api, run, lines } = await subject(t)
  await api.tell(run, { kind: 'result', value: { kind: 'state', state: 'finished' } })
  await api.tell(run, log('{"kind":"state","state":"finished"}'), { kind: 'state', state: 'finished' })
  assert.equal((await all(lines())).length, 4)
})

test('cursors that are none are refused', async (t) => {
  const { api, run, token } = await subject(t)
  for (const after of ['x', '-1', '1.', '1.2.3', '', '1&after=2']) {
    const answer = await api.call('GET', `/v1/runs/${run}/events?after=${after}`, { token })
    assert.equal(answer.status, 400, after)
    assert.match(answer.body.error.message, /^after: /)
  }
})

test('a HEAD request does not follow', async (t) => {
  const { api, run, token } = await subject(t)
  const answer = await api.call('HEAD', `/v1/runs/${run}/events`, { token })
  assert.deepEqual([answer.status, answer.headers['content-type']], [200, 'application/x-ndjson'])
})

test('a heartbeat comes when nothing else does', async (t) => {
  const { api, run } = await subject(t)
  const written: string[] = []
  const leave = new AbortController()
  const out = { write: (text: string) => written.push(text.trimEnd()) > 0 }
  const lines = new EventLines(out as never, leave.signal)
  const follower = new EventFollower(api.database, lines, leave.signal, 20)
  const followed = follower.follow(run, { own: 0, inner: 0 })
  while (written.length < 3) await sleep(5)
  for (const line of written) assert.ok('heartbeat' in StreamLine.parse(JSON.parse(line)))
  await api.tell(run, { kind: 'state', state: 'finished' })
  await followed
  leave.abort()
})

test('what a slow reader has not taken is never more than a page', async (t) => {
  const { api, run } = await subject(t)
  const size = 100_000
  for (let i = 0; i < 100; i++) await api.tell(run, log('x'.repeat(size)))
  await api.tell(run, { kind: 'state', state: 'finished' })
  let [taken, most] = [0, 0]
  const out = new Writable({
    highWaterMark: 1,
    decodeStrings: false,
    write: (chunk: string, _encoding, done) => {
      most = Math.max(most, out.writableLength)
      taken += chunk.length
      // Slower than the events are read, however fast that is: the reader's turn comes after all others.
      setImmediate(() => setImmediate(done))
    },
  })
  const leave = new AbortController()
  const lines = new EventLines(out, leave.signal)
  await new EventFollower(api.database, lines, leave.signal, 10_000).follow(run, { own: 0, inner: 0 })
  assert.ok(taken > 100 * size)
  assert.ok(most < 33 * (size + 200), `${most} bytes`)
})

test('a reader that goes frees what it held', async (t) => {
  const { api, run, lines } = await subject(t)
  let subscribed = 0
  const { subscribe } = api.database
  api.database.subscribe = (...of) => {
    const stop = subscribe(...of)
    subscribed++
    return () => {
      subscribed--
      stop()
    }
  }
  await api.tell(run, log('one'))
  const live = lines()
  await take(live, 1)
  assert.equal(subscribed, 1)
  await live.return(undefined)
  while (subscribed > 0) await sleep(1)
  assert.deepEqual(api.log, [])
})

test('what fails after the status was sent is said in a line', async (t) => {
  const { api, run, lines } = await subject(t)
  await api.tell(run, log('one'))
  const live = lines()
  await take(live, 1)
  await api.database.events.schema.dropTable('events').execute()
  api.database.notify(`events:${run}`)
  assert.deepEqual(await all(live), ['error'])
  assert.match(api.log[0] ?? '', /^events of run_.* no such table: events/s)
})
