import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { test } from 'node:test'
import fc from 'fast-check'
import { LogOutput } from '../../action/log-output.ts'

test('a runner hears our commands and nothing of what is shown, whatever it is', async () => {
  const piece = fc.oneof(
    fc.constantFrom('::error::x', '::add-mask::', '\n', '\r\n', 'text', '::stop-commands::x\n', '::x::\n', ''),
    fc.uint8Array({ maxLength: 5 }),
  )
  const step = fc.oneof(
    piece.map((bytes) => ({ bytes })),
    fc.string().map((line) => ({ line })),
    fc.constant({ command: true }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
      const out = new PassThrough()
      const all = buffer(out)
      const log = new LogOutput(out)
      for (const each of steps) {
        // Not awaited: they keep their order by themselves.
        if ('bytes' in each) void log.raw(each.bytes)
        else if ('line' in each) void log.line(each.line)
        else void log.command(() => out.write('::ours::\n'))
      }
      await log.command(() => out.end())
      const heard = asRunner((await all).toString('latin1'))
      assert.deepEqual(
        heard,
        steps.filter((each) => 'command' in each).map(() => '::ours::'),
      )
    }),
    { numRuns: 300 },
  )
})

/** As the runner does it: ActionCommandManager.cs of actions/runner. */
function asRunner(printed: string): string[] {
  const heard: string[] = []
  let token: string | undefined
  for (const line of printed.split('\n').map((each) => each.trimStart())) {
    if (!/^::[^ :]+.*?::/.test(line)) continue
    if (token !== undefined) {
      if (line.startsWith(`::${token}::`)) token = undefined
    } else if (line.startsWith('::stop-commands::')) token = line.slice('::stop-commands::'.length)
    else heard.push(line)
  }
  return heard
}

test('what is shown comes out as it is', async () => {
  const out = new PassThrough()
  const all = buffer(out)
  const log = new LogOutput(out)
  const binary = Uint8Array.from({ length: 256 }, (_, n) => n)
  await log.raw('a')
  await log.raw(binary)
  await log.raw('b\n')
  await log.line('ours')
  out.end()
  const [, ...rest] = (await all).toString('latin1').split('\n')
  assert.equal(rest.join('\n'), `a${Buffer.from(binary).toString('latin1')}b\nours\n`)
})

test('an aside waits for the end of a line of output, and no longer', async () => {
  const out = new PassThrough()
  const all = buffer(out)
  const log = new LogOutput(out)
  await log.raw('half a ')
  await log.aside('aside')
  await log.raw('line\n')
  await log.aside('at once')
  await log.raw('no end')
  await log.aside('before what is ours')
  await log.line('ours')
  out.end()
  const [, ...rest] = (await all).toString().split('\n')
  assert.equal(rest.join('\n'), 'half a line\naside\nat once\nno end\nbefore what is ours\nours\n')
})
