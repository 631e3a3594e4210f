import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { ContainerMissing } from '../../service/engine/engine.ts'
import type { ProcessOutcome, RunFrame } from '../../service/engine/frames.ts'
import { LauncherGone, type LiveRun, reattach } from '../../service/engine/standby.ts'
import { follow, sha256, testEngine } from '../support/standbys.ts'

const made = testEngine('reattach')
after(made.clean)
const signal = () => AbortSignal.timeout(60_000)
const again = (run: LiveRun, from: number, engine = made.engine) =>
  reattach(engine, run.containerId, from, signal(), 'told')

/** Takes frames until there is enough, as a service does that is then killed: what comes next is never stored. */
async function takeUntil(run: LiveRun, enough: (frame: RunFrame) => boolean): Promise<RunFrame[]> {
  const frames: RunFrame[] = []
  for await (const frame of run.frames) {
    frames.push(frame)
    if (enough(frame)) break
  }
  run.detach()
  return frames
}

const output = (frames: RunFrame[]) =>
  Buffer.concat(frames.flatMap((frame) => (frame.kind === 'stdout' ? [frame.bytes] : [])))
const outcomeOf = (frames: RunFrame[]): ProcessOutcome | undefined =>
  frames.flatMap((frame) => (frame.kind === 'outcome' ? [frame.outcome] : []))[0]

/** Writes numbered lines of 100 bytes, told when to end only by how many. */
const lines = (count: number) => ({
  argv: ['python3', '-c', `import sys\nfor n in range(${count}): sys.stdout.write('%099d\\n' % n)`],
})
const expected = (count: number) =>
  Buffer.from(Array.from({ length: count }, (_, n) => `${String(n).padStart(99, '0')}\n`).join(''))

describe('a run whose service went away', { concurrency: 2 }, () => {
  test('goes on in the middle of its output: nothing lost, nothing twice', async () => {
    const count = 300_000
    const standby = await made.standby('3.11', {}, { launcher: { silence: 1_000 } })
    let run = standby.run(lines(count), { acknowledge: 'told' })
    const frames: RunFrame[] = []
    // Three services die at different places, each having stored a little less than it has taken.
    for (const megabytes of [1, 7, 15]) {
      const taken = await takeUntil(run, (frame) => frame.end > megabytes << 20)
      frames.push(...taken.slice(0, -2))
      const stored = (frames.at(-1) as RunFrame).end
      run = await again(run, stored)
      run.acknowledge(stored)
    }
    for await (const frame of run.frames) {
      frames.push(frame)
      run.acknowledge(frame.end)
    }
    await run.destroy()
    assert.equal(sha256(output(frames)), sha256(expected(count)))
    assert.equal(outcomeOf(frames)?.exitCode, 0)
    for (const [index, frame] of frames.slice(1).entries()) assert.equal(frame.offset, frames[index]?.end)
  })

  test('is told of everything that was printed while nobody was there, past 4 MB from a file', async () => {
    const count = 200_000
    const standby = await made.standby('3.11', {}, { launcher: { silence: 200 } })
    const run = standby.run({ command: `${shellLines(count)}; touch /tmp/done` }, { acknowledge: 'told' })
    const first = await takeUntil(run, (frame) => frame.kind === 'stdout')
    // Its first service heard only the beginning, and it runs to its end without one.
    await until(async () => exists(run, '/tmp/done'))
    const frames = [...first, ...(await takeAll(await again(run, (first.at(-1) as RunFrame).end)))]
    assert.equal(sha256(output(frames)), sha256(expected(count)))
    assert.equal(outcomeOf(frames)?.exitCode, 0)
  })

  test('says how much is lost where more was printed than is kept', async () => {
    const count = 100_000
    const spool = 2 << 20
    const standby = await made.standby('3.11', {}, { launcher: { silence: 200, window: 1 << 20, spool } })
    const run = standby.run({ command: `${shellLines(count)}; touch /tmp/done` }, { acknowledge: 'told' })
    const first = await takeUntil(run, (frame) => frame.kind === 'stdout')
    await until(async () => exists(run, '/tmp/done'))
    const from = (first.at(-1) as RunFrame).end
    const rest = await takeAll(await again(run, from))
    const gap = rest[0]
    assert.ok(gap?.kind === 'gap', `${gap?.kind} comes first`)
    const kept = output(rest)
    assert.ok(kept.length > spool - (64 << 10) && kept.length <= spool, `${kept.length} bytes are kept`)
    const all = expected(count)
    assert.equal(output(first).length + gap.bytes + kept.length, all.length)
    assert.deepEqual(kept, all.subarray(all.length - kept.length))
    assert.equal(outcomeOf(rest)?.exitCode, 0)
  })

  test('can be cancelled by the next one', async () => {
    const run = (await made.standby('3.11')).run({ argv: ['sleep', '1000'] }, { acknowledge: 'told' })
    const [began] = await takeUntil(run, (frame) => frame.kind === 'began')
    const next = await again(run, (began as RunFrame).end)
    next.cancel(1_000)
    const outcome = outcomeOf(await takeAll(next))
    assert.deepEqual([outcome?.reason, outcome?.signal], ['cancelled', 'SIGTERM'])
  })

  test('waits with its outcome until somebody has stored it', async () => {
    const run = (await made.standby('3.11')).run({ command: 'echo hi' }, { acknowledge: 'told' })
    const frames = await takeUntil(run, (frame) => frame.kind === 'outcome')
    const once = await again(run, (frames.at(-2) as RunFrame).end)
    const twice = await takeUntil(once, (frame) => frame.kind === 'outcome')
    assert.deepEqual(twice, [frames.at(-1)])
    const last = await again(run, (frames.at(-2) as RunFrame).end)
    last.acknowledge((frames.at(-1) as RunFrame).end)
    const exit = await made.engine.container(run.containerId).wait(signal())
    assert.equal(exit.exitCode, 0)
    await last.destroy()
  })

  test('ends when nobody comes back', async () => {
    const launcher = { silence: 200, unattached: 600 }
    const standby = await made.standby('3.11', {}, { launcher })
    const run = standby.run({ argv: ['sleep', '1000'] })
    await takeUntil(run, (frame) => frame.kind === 'began')
    await made.engine.container(run.containerId).wait(signal())
    await assert.rejects(again(run, 0), LauncherGone)
    await run.destroy()
    await assert.rejects(again(run, 0), ContainerMissing)
  })

  test('is let go at once, also by who waits for its next frame, and goes on', async () => {
    const run = (await made.standby('3.11')).run({ argv: ['sleep', '1000'] }, { acknowledge: 'told' })
    const taking = (async () => {
      for await (const frame of run.frames) if (frame.kind === 'began') setImmediate(() => run.detach())
    })()
    await assert.rejects(taking, { name: 'EngineUnavailable', message: /was given up/ })
    const next = await again(run, 0)
    next.cancel(0)
    assert.equal(outcomeOf(await takeAll(next))?.reason, 'cancelled')
  })

  test('ends a standby that nobody keeps', async () => {
    const standby = await made.standby('3.11', {}, { launcher: { silence: 200, unattached: 600 } })
    const run = standby.run({ argv: ['true'] })
    run.detach()
    const exit = await made.engine.container(run.containerId).wait(signal())
    assert.equal(exit.oom, false)
    await standby.destroy()
  })
})

test('a standby whose container is removed says so, and so does a run on it', async () => {
  const standby = await made.standby('3.11')
  await made.engine.container(standby.containerId).remove()
  await standby.gone
  await assert.rejects(follow(standby.run({ argv: ['true'] })))
})

test('a run whose container is killed ends with LauncherGone', async () => {
  const run = (await made.standby('3.11')).run({ argv: ['sleep', '1000'] })
  await assert.rejects(async () => {
    for await (const frame of run.frames) {
      if (frame.kind === 'began') await made.engine.container(run.containerId).kill('SIGKILL')
    }
  }, LauncherGone)
  await run.destroy()
})

async function takeAll(run: LiveRun): Promise<RunFrame[]> {
  const frames: RunFrame[] = []
  for await (const frame of run.frames) {
    frames.push(frame)
    run.acknowledge(frame.end)
  }
  await run.destroy()
  return frames
}

const shellLines = (count: number) =>
  `python3 -c "import sys\nfor n in range(${count}): sys.stdout.write('%099d\\n' % n)"`

async function exists(run: LiveRun, path: string): Promise<boolean> {
  try {
    for await (const _ of await made.engine.container(run.containerId).get(path));
    return true
  } catch {
    return false
  }
}

async function until(met: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + 30_000
  while (!(await met())) {
    if (Date.now() > end) throw new Error('it did not come about in 30 s')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
