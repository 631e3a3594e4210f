import { createHmac, randomUUID } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { Commit, Sample } from './sample.ts'

/** The signature that GitHub sends with a delivery: HMAC-SHA256 of the body's bytes, under the webhook's secret. */
export function sign(body: string, secret: string): string {
  return `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`
}

/** What GitHub tells of a push to `main`; of its many fields, those that matter here. */
export function pushPayload(sample: Pick<Sample, 'name'>, commit: Commit): string {
  return JSON.stringify({
    ref: 'refs/heads/main',
    before: commit.before,
    after: commit.id,
    deleted: false,
    // GitHub's own number of the repository: any that is not another's.
    repository: { id: crc32(sample.name), full_name: sample.name, default_branch: 'main' },
  })
}

/**
 * Sends the webhook of a push, as GitHub does.
 * @throws {Error} with the service's answer, unless it is 202: the push is stored, and work on it begins
 */
export async function sendPush(service: { url: string; webhookSecret: string }, body: string): Promise<void> {
  const response = await fetch(`${service.url}/webhooks/github`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'x-github-event': 'push',
      'x-github-delivery': randomUUID(),
      'x-hub-signature-256': sign(body, service.webhookSecret),
    },
    body,
    signal: AbortSignal.timeout(10_000),
  })
  if (response.status !== 202) throw new Error(`The webhook was answered ${response.status}: ${await response.text()}`)
}
