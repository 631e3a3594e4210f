import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Step } from '../support/action-step.ts'
import { cuttingProxy } from '../support/cutting-proxy.ts'
import type { Project } from '../support/project.ts'
import { ServiceUnderTest } from '../support/service-under-test.ts'
import { WorkflowJob } from '../support/workflow-job.ts'

/** The bundled Action against the service: what it sends, what it sets, and what becomes of its run when it is disturbed. */

let service: ServiceUnderTest
let project: Project
let commit: string
let job: WorkflowJob
before(async () => {
  service = await ServiceUnderTest.start()
  project = await service.project('octo/field')
  commit = await project.commit({
    'requirements.txt': 'six==1.16.0\n',
    'field.py': 'def size(a, b=2): return {"size": a * b}\n',
  })
  await project.push(commit)
  const build = await project.built(await project.build(commit))
  assert.equal(build.state, 'finished', build.message)
  await service.standbysOf([build.image ?? ''])
  job = await WorkflowJob.start(service.home, project)
})
after(() => service?.close())

/** Waits until a step has printed something. */
async function printed(step: Step, text: string): Promise<void> {
  const over = step.result.then(({ log }) => assert.fail(`it ended without ${text}: ${log}`))
  const look = async () => {
    while (!step.printed().includes(text)) await sleep(10)
  }
  await Promise.race([look(), over])
}

test("a function's result is an output, and all outputs are set", async () => {
  const { exitCode, outputs, summary, log } = await job.step(commit, {
    function: 'field:size',
    'function-args': '{"a": 21}',
  })
  assert.equal(exitCode, 0, log.toString())
  assert.equal(outputs.result, '{"size":42}')
  for (const name of ['run-id', 'outcome', 'exit-code', 'cache', 'image', 'seconds-to-start'])
    assert.ok(outputs[name], name)
  assert.match(summary, /field:size/)
})

test('a command that fails ends the step with its exit code, said plainly', async () => {
  const { exitCode, outputs, log } = await job.step(commit, { command: 'echo before; exit 7' })
  assert.deepEqual([exitCode, outputs.outcome, outputs['exit-code']], [7, 'failed', '7'])
  assert.match(log.toString(), /^before$/m)
  assert.match(log.toString(), /::error::The command ended with exit code 7\./)
})

test('a commit that was never pushed is built on demand, and shown from the first line', async () => {
  const next = await project.commit({ 'requirements.txt': 'six==1.15.0\n' })
  const { exitCode, outputs, log, summary } = await job.step(next, {
    command: 'python -c "import six; print(six.__version__)"',
  })
  assert.equal(exitCode, 0, log.toString())
  assert.deepEqual([outputs.outcome, outputs.cache], ['ok', 'partial'])
  assert.match(
    log.toString(),
    /::group::Build of the environment[\s\S]*requirements\.txt[\s\S]*::endgroup::[\s\S]*^1\.15\.0$/m,
  )
  for (const stage of ['source', 'resolve', 'packages', 'layers', 'pull'])
    assert.match(summary, new RegExp(`>${stage}<`))
  assert.match(summary, /six[\s\S]*1\.16\.0[\s\S]*1\.15\.0[\s\S]*requirements\.txt:1 asks for six==1\.15\.0/)
})

test('a build that fails fails the step, with its own words', async () => {
  const bad = await project.commit({ 'requirements.txt': 'six==999\n' })
  const { exitCode, outputs, log } = await job.step(bad, { command: 'true' })
  assert.deepEqual([exitCode, outputs.outcome, outputs['exit-code']], [1, 'error', ''])
  assert.match(log.toString(), /::error::[^\n]*requirements\.txt:1: [^\n]*there is no version of six==999/)
})

test('a commit that only the checkout has is sent, and runs in a domain of its own without network', async () => {
  const git = async (...args: string[]) => {
    const identity = ['-c', 'user.name=Test', '-c', 'user.email=test@example.org']
    return (await promisify(execFile)('git', [...identity, ...args], { cwd: job.workspace })).stdout.trim()
  }
  await git('checkout', '--quiet', commit)
  await writeFile(join(job.workspace, 'local.py'), 'import os\nprint("local", sorted(os.listdir("/sys/class/net")))\n')
  await git('add', 'local.py')
  await git('commit', '--quiet', '--message', 'Only here')
  const local = await git('rev-parse', 'HEAD')
  const { exitCode, outputs, log } = await job.step(local, { command: 'python local.py' })
  assert.equal(exitCode, 0, log.toString())
  assert.match(log.toString(), new RegExp(`Sent the code of ${local.slice(0, 12)}`))
  assert.match(log.toString(), /^local \['lo'\]$/m)
  const [row] = service.ask<{ domain: string }>('select domain from runs where id = ?', outputs['run-id'] ?? '')
  assert.match(row?.domain ?? '', new RegExp(`^rep_[0-9a-f-]+/commit/${local}$`))
  const again = await job.step(local, { command: 'python local.py' })
  assert.equal(again.exitCode, 0, again.log.toString())
})

test('an environment file that an earlier step made is sent along', async () => {
  await writeFile(join(job.workspace, 'made.txt'), 'six==1.14.0\n')
  const { exitCode, log } = await job.step(commit, {
    command: 'python -c "import six; print(six.__version__)"',
    interpreter: 'made.txt',
  })
  assert.match(log.toString(), /Sent made\.txt/)
  assert.match(log.toString(), /^1\.14\.0$/m)
  assert.equal(exitCode, 0)
})

test('a step that is killed leaves a run; the post step ends it', async () => {
  const step = await job.start(commit, { command: 'echo begun; exec sleep 600' })
  await printed(step, 'begun')
  step.child.kill('SIGKILL')
  const { state } = await step.result
  assert.equal((await project.run(state['run-id'] ?? '')).state, 'running')
  const post = await job.post(state)
  assert.equal(post.exitCode, 0)
  const { run } = await project.ended(state['run-id'] ?? '')
  assert.equal(run.outcome, 'cancelled')
})

test('a step that is cancelled ends its run', async () => {
  const step = await job.start(commit, {
    command: 'trap "echo ending; exit 1" TERM; echo begun; while :; do sleep 0.1; done',
  })
  await printed(step, 'begun')
  step.child.kill('SIGINT')
  const { outputs, exitCode, log, state } = await step.result
  assert.deepEqual([outputs.outcome, exitCode], ['cancelled', 1])
  assert.match(log.toString(), /^ending$/m)
  assert.equal((await job.post(state)).log.toString(), '')
})

test('a stream of events that breaks again and again loses nothing', async (t) => {
  const proxy = await cuttingProxy(t, Number(service.home.host.split(':')[1]), 15_000)
  const broken = await WorkflowJob.start(service.home, project, proxy.url)
  const lines = 4000
  const program = `for n in range(${lines}): print("line", n, "x" * 20)`
  const { exitCode, log, outputs } = await broken.step(commit, { args: JSON.stringify(['python', '-c', program]) })
  assert.equal(exitCode, 0, log.toString().slice(-3000))
  assert.equal(outputs.outcome, 'ok')
  const numbers = [...log.toString().matchAll(/^line (\d+) x{20}$/gm)].map(([, number]) => Number(number))
  assert.deepEqual(
    numbers,
    Array.from({ length: lines }, (_, number) => number),
  )
  assert.ok(proxy.cuts > 3, `${proxy.cuts} cuts`)
})
