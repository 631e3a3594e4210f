import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { verify } from '@octokit/webhooks-methods'
import { pushPayload, sendPush, sign } from '../../quickstart/push.ts'
import { addRequirement, createSample } from '../../quickstart/sample.ts'
import { table } from '../../quickstart/table.ts'
import { interpret } from '../../service/github/deliveries.ts'

test('the sample repository is two commits on main, one requirement apart', async (t) => {
  const host = mkdtempSync(join(tmpdir(), 'meadow-test-sample-'))
  t.after(() => rmSync(host, { recursive: true }))
  const { sample, commit } = await createSample(host)
  const next = await addRequirement(sample, commit)
  const git = (...args: string[]) => execFileSync('git', args, { cwd: sample.folder, encoding: 'utf8' }).trim()

  assert.equal(git('rev-parse', 'main'), next.id)
  assert.equal(git('rev-parse', 'main~'), commit.id)
  assert.equal(next.before, commit.id)
  assert.match(git('diff', '--numstat', commit.id, next.id, '--', 'requirements.txt'), /^1\t0\t/)
  assert.equal(git('status', '--porcelain'), '')
  assert.equal(readFileSync(join(sample.folder, 'requirements.txt'), 'utf8'), `${sample.requirements.join('\n')}\n`)
})

test('a push is signed as GitHub signs it, and says what the service reads', async (t) => {
  const received: { signature: string; event: unknown; body: string }[] = []
  const server = createServer(async (request, response) => {
    const signature = String(request.headers['x-hub-signature-256'])
    received.push({ signature, event: request.headers['x-github-event'], body: await text(request) })
    response.writeHead(received.length === 1 ? 202 : 401).end('no')
  }).listen(0, '127.0.0.1')
  t.after(() => server.close())
  await new Promise((resolve) => server.once('listening', resolve))
  const service = { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, webhookSecret: 'it is a secret' }
  const commit = { id: 'a'.repeat(40), before: 'b'.repeat(40) }
  const body = pushPayload({ name: 'meadow/sample' }, commit)

  await sendPush(service, body)
  assert.equal(await verify(service.webhookSecret, received[0]?.body ?? '', received[0]?.signature ?? ''), true)
  assert.equal(await verify('another secret', body, sign(body, service.webhookSecret)), false)
  const read = interpret(String(received[0]?.event), JSON.parse(received[0]?.body ?? ''))
  assert.equal(read.act === 'prebuild' && read.push.commit, commit.id)
  await assert.rejects(sendPush(service, body), /answered 401: no/)
})

test('the table aligns figures to the right and gives bytes in MB', () => {
  const step = {
    name: 'push',
    seconds: 12.345,
    cache: 'miss',
    packagesNew: 12,
    bytesReused: 0,
    bytesTransferred: 1e7,
  } as const
  const rerun = { ...step, name: 'rerun', seconds: 0.5, cache: 'hit', packagesNew: 0, bytesReused: 2_345 } as const
  assert.equal(
    table([step, rerun]),
    [
      'step   seconds  cache  new packages    reused  transferred',
      'push     12.35  miss             12    0.0 MB      10.0 MB',
      'rerun     0.50  hit               0  0.002 MB      10.0 MB',
    ].join('\n'),
  )
})
