import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import type { Event } from '../../common/events.ts'
import { finishRun, type RunEnd, runById, updateRun } from '../../service/database/runs.ts'
import type { RunRow } from '../../service/database/schema.ts'
import { startStep } from '../support/action-step.ts'
import { STATIC_TOKEN, startApi } from '../support/api.ts'
import { TestRepository, temporaryFolder } from '../support/repositories.ts'

type Told = Partial<Event> & { kind: Event['kind'] }

/** A checkout, the real API, and a hand that does what jobs would. */
async function setUp(t: TestContext) {
  const folder = await temporaryFolder(t)
  const origin = await TestRepository.make(join(folder, 'origin'))
  const commit = await origin.commit({ 'requirements.txt': 'six\n' }, { ref: 'refs/heads/main' })
  const workspace = join(folder, 'work')
  await promisify(execFile)('git', ['clone', '--quiet', `file://${origin.folder}`, workspace])
  const api = await startApi(t)
  const job = {
    GITHUB_REPOSITORY: 'octo/garden',
    GITHUB_SHA: commit,
    GITHUB_REF: 'refs/heads/main',
    GITHUB_EVENT_NAME: 'push',
    GITHUB_RUN_ID: '4711',
    GITHUB_WORKSPACE: workspace,
  }
  const given = { 'service-url': api.url, token: STATIC_TOKEN, repository: 'octo/garden', deployment: 'git_repo' }
  const { database } = api
  return {
    api,
    commit,
    start: (inputs: Record<string, string>, env: Record<string, string> = {}) =>
      startStep('main', folder, { ...given, ...inputs }, { ...job, ...env }),
    post: async (state: Record<string, string>) => {
      const states = Object.entries(state).map(([name, value]) => [`STATE_${name}`, value])
      return await (await startStep('post', folder, given, Object.fromEntries(states))).result
    },
    workspace,
    /** The run that was submitted, as soon as it is. */
    submitted: () => until(async () => await database.state.selectFrom('runs').selectAll().executeTakeFirst()),
    end: async ({ id }: RunRow, end: Partial<RunEnd> & Pick<RunEnd, 'outcome'>, events: Told[] = []) => {
      await database.write(({ db }) => finishRun(db, id, { now: Date.now(), ...end }))
      const state = { kind: 'state', state: 'finished', outcome: end.outcome } as const
      await api.tell(id, ...events, end.exitCode === undefined ? state : { ...state, 'exit-code': end.exitCode })
    },
  }
}

async function until<T>(look: () => Promise<T | undefined>): Promise<T> {
  for (;;) {
    const found = await look()
    if (found !== undefined) return found
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

const log = (text: string): Told => ({ kind: 'log', stream: 'stdout', text })
const CACHE = {
  kind: 'cache',
  verdict: 'partial',
  reason: 'one package is new',
  environment: 'requirements.txt (requirements.txt), detected at the root',
  packages: [{ name: 'six', before: '1.16', after: '1.17', why: 'changed in requirements.txt <line 1>' }],
  'packages-new': 1,
  'bytes-reused': 5_000_000,
  'bytes-transferred': 11_000,
  image: `sha256:${'a'.repeat(64)}`,
  resolved: '2026-01-01T00:00:00.000Z',
  unpinned: ['six'],
} as const

test('a run that goes well: log, outputs, summary, exit code 0', async (t) => {
  const { api, commit, start, submitted, end } = await setUp(t)
  const step = await start({
    interpreter: './requirements.txt',
    'working-directory': '.',
    function: 'pkg.mod:f',
    'function-args': '{"n": 3}',
    env: 'A=1\nB=x=y',
    memory: '1GiB',
  })
  const run = await submitted()
  const request = JSON.parse(run.request)
  assert.equal(request.commit, commit)
  assert.deepEqual([request.interpreter, request['working-directory']], ['requirements.txt', undefined])
  assert.deepEqual(request.env, { A: '1', B: 'x=y' })
  assert.deepEqual([request.memory, request.function, request['function-args']], [2 ** 30, 'pkg.mod:f', { n: 3 }])
  assert.ok(request.bundle, 'the service had nothing of the commit')
  await api.tell(run.id, log('first line\n'))
  await until(async () => step.printed().includes('first line') || undefined)
  await api.database.write(({ db }) => updateRun(db, run.id, { image: CACHE.image, ms_to_start: 12 }))
  await end(run, { outcome: 'ok', exitCode: 0, result: '{"x":[1]}' }, [
    { ...CACHE, packages: [...CACHE.packages], unpinned: [...CACHE.unpinned] },
    { kind: 'stage', name: 'start', seconds: 0.0123, detail: 'standby' },
    { kind: 'result', value: { x: [1] } },
  ])
  const { exitCode, outputs, state, summary, log: printed } = await step.result
  assert.equal(exitCode, 0, printed.toString())
  assert.deepEqual(outputs, {
    'run-id': run.id,
    outcome: 'ok',
    'exit-code': '0',
    result: '{"x":[1]}',
    cache: 'partial',
    image: CACHE.image,
    'seconds-to-start': '0.012',
  })
  assert.deepEqual(state, { 'run-id': run.id, ended: 'true' })
  assert.match(summary, /partial: one package is new.*11\.0 kB.*start<\/td><td>0\.012.*&lt;line 1&gt;/s)
})

test("a command that fails gives the step its exit code, and what it printed can't speak to the runner", async (t) => {
  const { api, start, submitted, end } = await setUp(t)
  const step = await start({ command: 'exit 42' })
  const run = await submitted()
  const evil = '::set-output name=x::y\n::error::fake\nno end of line'
  const binary = Buffer.from([0, 255, 254, 10, 13, 128])
  await api.tell(
    run.id,
    log(evil),
    { kind: 'note', text: '::warning::from a file name' },
    { kind: 'log', stream: 'stderr', base64: binary.toString('base64') },
  )
  await end(run, { outcome: 'failed', exitCode: 42 })
  const { exitCode, log: printed, outputs } = await step.result
  assert.equal(exitCode, 42)
  assert.deepEqual([outputs.outcome, outputs['exit-code'], outputs.result], ['failed', '42', ''])
  assert.ok(printed.includes(binary), 'bytes come out as they are')
  const { spoken } = asRunner(printed.toString('latin1'))
  assert.deepEqual(spoken, ['add-mask', 'error'])
  assert.match(printed.toString('latin1'), /^::error::The command ended with exit code 42\.$/m)
})

test("a build's output comes in a group, before the run's own", async (t) => {
  const { api, start, submitted, end } = await setUp(t)
  const step = await start({ command: 'true' })
  const run = await submitted()
  await api.tell('bld_1', log('building\n'), {
    kind: 'state',
    state: 'failed',
    message: 'no such package',
    hint: 'fix it',
  })
  await api.tell(run.id, { kind: 'state', state: 'building', build: 'bld_1' })
  await end(run, { outcome: 'error', message: 'requirements.txt:1: no such package', hint: 'fix it' })
  const { exitCode, log: printed } = await step.result
  assert.equal(exitCode, 1)
  const text = printed.toString()
  assert.match(text, /::group::Build of the environment \(bld_1\)\n::stop-commands::.*building\n.*::endgroup::/s)
  assert.match(text, /::error::The run could not be done\.%0Arequirements\.txt:1: no such package%0Afix it/)
})

test('output of many megabytes arrives whole', async (t) => {
  const { api, start, submitted, end } = await setUp(t)
  const step = await start({ args: '["yes"]' })
  const run = await submitted()
  const piece = `${'0123456789abcdef'.repeat(8191)}\n`
  for (let n = 0; n < 100; n++) await api.tell(run.id, log(piece))
  await end(run, { outcome: 'ok', exitCode: 0 })
  const { exitCode, log: printed } = await step.result
  assert.equal(exitCode, 0)
  assert.equal(printed.toString().split(piece.trim()).length - 1, 100)
})

test('a cancelled step cancels its run and says how it ended', async (t) => {
  const { api, start, submitted, end } = await setUp(t)
  const step = await start({ command: 'sleep 1000' })
  const run = await submitted()
  await api.tell(run.id, log('started\n'))
  await until(async () => step.printed().includes('started') || undefined)
  step.child.kill('SIGINT')
  await until(async () => (await runById(api.database.state, run.id))?.cancel === 1 || undefined)
  await end(run, { outcome: 'cancelled' })
  const { exitCode, outputs, log: printed } = await step.result
  assert.equal(exitCode, 1)
  assert.equal(outputs.outcome, 'cancelled')
  assert.match(printed.toString(), /::error::The run was cancelled\./)
})

test('the post step ends what a killed step left behind, and only that', async (t) => {
  const { api, start, submitted, post, end } = await setUp(t)
  const step = await start({ command: 'sleep 1000' })
  const run = await submitted()
  await until(async () => step.printed().includes('Runs octo/garden') || undefined)
  await api.tell(run.id, log('started\n'))
  await until(async () => step.printed().includes('started') || undefined)
  step.child.kill('SIGKILL')
  const { state } = await step.result
  assert.deepEqual(state, { 'run-id': run.id })
  assert.match((await post(state)).log.toString(), /is being cancelled/)
  assert.equal((await runById(api.database.state, run.id))?.cancel, 1)
  await end(run, { outcome: 'cancelled' })
  assert.match((await post(state)).log.toString(), /had ended: cancelled/)
  assert.equal((await post({ ...state, ended: 'true' })).log.toString(), '')
  assert.equal((await post({})).log.toString(), '')
  await api.close()
  const late = await post(state)
  assert.deepEqual([late.exitCode, /::warning::The run could not be cancelled/.test(late.log.toString())], [0, true])
})

test('pull requests: the merge commit by default, the head when asked, with the number', async (t) => {
  const { start, submitted, end, workspace, commit } = await setUp(t)
  const event = join(workspace, 'event.json')
  const head = '2'.repeat(40)
  await writeFile(event, JSON.stringify({ pull_request: { number: 5, head: { sha: head }, merge_commit_sha: null } }))
  const env = { GITHUB_EVENT_NAME: 'pull_request', GITHUB_EVENT_PATH: event, GITHUB_REF: 'refs/pull/5/merge' }
  const step = await start({ command: 'true', ref: 'head' }, env)
  const run = await submitted()
  const { commit: asked, 'pull-request': number } = JSON.parse(run.request)
  assert.deepEqual([asked, number], [head, 5])
  assert.notEqual(asked, commit)
  await end(run, { outcome: 'ok', exitCode: 0 })
  assert.equal((await step.result).exitCode, 0)
})

test('wrong inputs are said all at once, by name, and nothing is asked of anybody', async (t) => {
  const folder = await temporaryFolder(t)
  await mkdir(join(folder, 'work'))
  const inputs = {
    'service-url': 'meadow.example.org',
    token: 'a token',
    repository: 'nonsense',
    command: 'a',
    args: '["b"]',
    function: '',
    cpus: 'two',
    memory: '2G',
    timeout: '5',
    network: 'all',
    env: 'A=1\nB',
    'python-version': '3.1',
    'working-directory': '../up',
    preload: 'numpy, 3',
    'function-args': '[',
  }
  const { exitCode, log: printed } = await (await startStep('main', folder, inputs)).result
  assert.equal(exitCode, 1)
  const [, text = ''] = /^::error::(.*)$/m.exec(printed.toString()) ?? []
  const lines = text.split('%0A')
  for (const start of [
    'service-url: must be a URL',
    'repository: must be owner/name',
    'args: cannot be given together with command',
    'cpus: must be a number',
    'memory: must be a size like',
    'timeout: must be a time like',
    'network: ',
    'env: line 2 must be NAME=value',
    'python-version: 3.1 is what YAML makes of 3.10',
    'working-directory: must be a path inside the repository',
    'preload.1: must be a module name',
    'function-args: is not JSON',
  ]) {
    assert.ok(
      lines.some((line) => line.startsWith(start)),
      `${start} in ${text}`,
    )
  }
})

test('a service that is not there: its URL and the fix', async (t) => {
  const { api, start } = await setUp(t)
  await api.close()
  const { exitCode, log: printed } = await (await start({ command: 'true' })).result
  assert.equal(exitCode, 1)
  assert.ok(printed.toString().includes(`::error::the service at ${api.url} could not be reached: `))
  assert.match(printed.toString(), /Check the input "service-url"/)
})

test('no bundle is above 500 kB', async () => {
  for (const name of ['main', 'post']) {
    assert.ok((await stat(new URL(`../../dist/${name}.cjs`, import.meta.url))).size < 500_000)
  }
})

/** The commands that a runner would hear, with stop-commands minded. */
function asRunner(printed: string): { spoken: string[] } {
  let stopped: string | undefined
  const spoken: string[] = []
  for (const line of printed.split(/\r?\n/)) {
    const [, command = '', value] = /^::([^: ]+)[^:]*::(.*)$/.exec(line) ?? []
    if (stopped !== undefined) {
      if (line === `::${stopped}::`) stopped = undefined
    } else if (command === 'stop-commands') stopped = value
    else if (command !== '') spoken.push(command)
  }
  return { spoken }
}
