import { randomUUID } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { Pool } from 'undici'
import { sign } from '../quickstart/push.ts'
import { quantile } from './rows.ts'
import type { Load, LoadOrder } from './webhook.ts'

/** Sends signed pushes over a bounded number of connections for a bounded time. Run as a process of its own. */

const CONNECTIONS = 32
const BYTES = 10_000

const { url, secret, name, commit, seconds } = JSON.parse(process.argv[2] ?? '') as LoadOrder
const { origin, pathname } = new URL(url)
const pool = new Pool(origin, { connections: CONNECTIONS, headersTimeout: 10_000, bodyTimeout: 10_000 })
const milliseconds: number[] = []
const start = performance.now()
await Promise.all(Array.from({ length: CONNECTIONS }, sendAll))
const measured = performance.now() - start
await pool.close()
const load: Load = {
  perSecond: milliseconds.length / (measured / 1000),
  p50: quantile(milliseconds),
  p99: quantile(milliseconds, 0.99),
}
console.log(JSON.stringify(load))

async function sendAll(): Promise<void> {
  while (performance.now() - start < seconds * 1000) {
    const body = pushBody()
    const sent = performance.now()
    const answer = await pool.request({ path: pathname, method: 'POST', headers: headersOf(body), body })
    const text = await answer.body.text()
    if (answer.statusCode !== 202) throw new Error(`answered ${answer.statusCode}: ${text}`)
    milliseconds.push(performance.now() - sent)
  }
}

/** A push as large as GitHub's usually are, no two alike. */
function pushBody(): string {
  const push = {
    ref: 'refs/heads/main',
    before: '0'.repeat(40),
    after: commit,
    deleted: false,
    repository: { id: crc32(name), full_name: name, default_branch: 'main' },
    head_commit: { id: commit, message: randomUUID() },
    commits: [] as unknown[],
  }
  const length = JSON.stringify(push).length
  const entry = { id: commit, message: 'A change', added: [], removed: [], modified: ['requirements.txt'] }
  const count = Math.floor((BYTES - length) / (JSON.stringify(entry).length + 1))
  push.commits = Array.from({ length: count }, () => entry)
  return JSON.stringify(push)
}

function headersOf(body: string): Record<string, string> {
  return {
    'content-type': 'application/json',
    'x-github-event': 'push',
    'x-github-delivery': randomUUID(),
    'x-hub-signature-256': sign(body, secret),
  }
}
