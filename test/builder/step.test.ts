import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { Frames } from '../../service/builder/frames.ts'
import { Step, StepFailed } from '../../service/builder/step.ts'
import type { StepSpec } from '../../service/builder/step-spec.ts'
import { STEP, type TestBuilder, testBase, testBuilder } from '../support/builder.ts'

let parts: TestBuilder
before(async () => {
  parts = await testBuilder()
})
after(() => parts[Symbol.asyncDispose]())

async function python(program: string, more: Partial<StepSpec> = {}, options = STEP): Promise<Step> {
  const image = (await testBase('3.11')).reference
  const step = await Step.open(
    parts.context,
    { name: 'trying', image, command: ['python3', '-c', program], network: 'none', ...more },
    options,
  )
  await step.start()
  return step
}

describe('a step', () => {
  test('reports lines of stderr as they come, and keeps their end for errors', async () => {
    const lines: string[] = []
    const program =
      'import sys; sys.stderr.write("one\\ntw"); sys.stderr.flush(); sys.stderr.write("o\\nü"); sys.exit(3)'
    await using step = await python(program, {}, { ...STEP, report: (line) => void lines.push(line) })
    await assert.rejects(step.finish(), (error) => {
      assert.ok(error instanceof StepFailed)
      assert.equal(error.exitCode, 3)
      assert.equal(error.message, 'trying failed with exit code 3: ü')
      assert.equal(error.log, 'one\ntwo\nü')
      return true
    })
    assert.deepEqual(lines, ['one', 'two', 'ü'])
  })

  test('has its files, the certificates and no more than it was given', async () => {
    const program = 'import os; print(open("/opt/meadow/a/b.txt").read(), os.path.exists(os.environ["SSL_CERT_FILE"]))'
    const context = { ...parts.context, caBundle: 'a certificate' }
    const image = (await testBase('3.11')).reference
    const files = { '/opt/meadow/a/b.txt': 'content' }
    const command = ['python3', '-c', program]
    await using step = await Step.open(context, { name: 'trying', image, command, network: 'none', files }, STEP)
    await step.start()
    assert.equal(await step.text(1000), 'content True\n')
    await step.finish()
  })

  test('that prints without end is ended', async () => {
    await using step = await python('while True: print("x" * 1000)')
    await step.text(100_000)
    await assert.rejects(step.finish(), /it printed more than 100000 bytes/)
  })

  test('that is stopped within an answer is told by why it was stopped, one that breaks off by its end', async () => {
    const program = 'import time; print("{}\\n{", end="", flush=True); time.sleep(600)'
    await using stopped = await python(program)
    const frames = new Frames(stopped.stdout)
    assert.deepEqual(await frames.line(), {})
    const line = frames.line()
    stopped.stop(new Error('no longer wanted'))
    await assert.rejects(
      line.catch((error) => stopped.blame(error)),
      /no longer wanted/,
    )
    await using ended = await python('import sys; print("{", end="", flush=True); sys.exit("no reason")')
    await assert.rejects(
      new Frames(ended.stdout).line().catch((error) => ended.blame(error)),
      /StepFailed|no reason|ends within a line/,
    )
  })

  test('leaves no container when it can not begin', async () => {
    const image = (await testBase('3.11')).reference
    const spec = { name: 'trying', image, command: ['no-such-program'], network: 'none' as const }
    await assert.rejects(async () => {
      await using step = await Step.open(parts.context, spec, STEP)
      await step.start()
    })
    const aborted = { ...STEP, signal: AbortSignal.abort(new Error('too late')) }
    await assert.rejects(Step.open(parts.context, spec, aborted), /too late/)
    assert.deepEqual(await parts.containers(), [])
  })
})
