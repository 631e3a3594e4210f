import assert from 'node:assert/strict'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { type FollowOptions, follow } from '../../client/follow.ts'
import { Http } from '../../client/http.ts'
import type { StreamLine } from '../../common/events.ts'

/** A stream of events that breaks as it is told; the real one does not on demand. */
async function serve(t: Pick<TestContext, 'after'>, answer: (after: number, response: ServerResponse) => void) {
  const asked: number[] = []
  const server = createServer((request, response) => {
    const after = Number(new URL(request.url ?? '', 'http://localhost').searchParams.get('after') ?? 0)
    asked.push(after)
    answer(after, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const close = () => {
    server.closeAllConnections()
    server.close()
  }
  t.after(close)
  const http = new Http({ url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`), patience: 500 })
  const collect = async (options: FollowOptions = {}) => {
    const seen: number[] = []
    for await (const { event } of follow(http, 'run_1', options)) seen.push(event.seq)
    return seen
  }
  return { asked, collect, close }
}

const line = (seq: number): StreamLine => ({
  cursor: String(seq),
  of: 'run_1',
  event: { kind: 'note', seq, time: '2026-01-01T00:00:00.000Z', text: `note ${seq} — ünïcode` },
})
const text = (each: StreamLine) => `${JSON.stringify(each)}\n`

test('wherever the stream breaks, every event comes once and in order', async (t) => {
  const total = 6
  const whole = Buffer.from(Array.from({ length: total }, (_, n) => text(line(n + 1))).join('') + text({ end: true }))
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(whole.length), { maxLength: 3 }), async (cuts) => {
      const left = [...cuts]
      const { collect, close } = await serve(t, (after, response) => {
        const lines = Array.from({ length: total - after }, (_, n) => text(line(after + n + 1))).join('')
        const bytes = Buffer.from(lines + text({ end: true }))
        const cut = left.shift()
        if (cut === undefined) return void response.end(bytes)
        // The first part is on its way before the connection is torn.
        response.write(bytes.subarray(0, cut), () => response.destroy())
      })
      assert.deepEqual(await collect(), [1, 2, 3, 4, 5, 6])
      close()
    }),
    { numRuns: 25 },
  )
})

test('a stopping service, silence and nonsense are breaks; heartbeats are none', async (t) => {
  const answers: ((response: ServerResponse) => void)[] = [
    (response) =>
      response.end(text(line(1)) + text({ error: { code: 'closing', message: 'the service stops', hint: '' } })),
    (response) => response.write(text({ heartbeat: 'now' }) + text(line(2))),
    (response) => response.end('<html>\n'),
    (response) => response.writeHead(502).end(),
    (response) => response.end(text(line(3)) + text({ end: true })),
  ]
  const { asked, collect } = await serve(t, (_, response) => answers.shift()?.(response))
  const why: string[] = []
  assert.deepEqual(await collect({ silence: 200, onBreak: (each) => why.push(each) }), [1, 2, 3])
  assert.match(why.join('\n'), /the service stops\nnothing came for 0\.2 s\na line came that is no event/)
  assert.deepEqual(asked.slice(0, 3), [0, 1, 2])
})

test('a service that stays away is given up after the patience; a refusal at once', async (t) => {
  const { collect } = await serve(t, (_, response) => response.destroy())
  await assert.rejects(collect({ patience: 500 }), { name: 'ServiceUnreachable', message: /events of run_1 broke off/ })
  const refused = await serve(t, (_, response) =>
    response.writeHead(404).end('{"error":{"code":"x","message":"gone","hint":"h"}}'),
  )
  await assert.rejects(refused.collect(), { name: 'ServiceRefused', message: 'gone' })
  assert.equal(refused.asked.length, 1)
})

test('following ends when it is no longer wanted', async (t) => {
  const { collect } = await serve(t, (_, response) => response.write(text({ heartbeat: 'now' })))
  const controller = new AbortController()
  const collected = collect({ signal: controller.signal })
  controller.abort(new Error('not wanted'))
  await assert.rejects(collected, /not wanted/)
})
