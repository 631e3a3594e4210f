import type { Database, Unit } from '../database/database.ts'
import { recordDelivery, recordPush } from '../database/deliveries.ts'
import { enqueue } from '../database/jobs.ts'
import { repositoryByGithub } from '../database/repositories.ts'
import { whileMoreArrive } from '../database/turns.ts'
import type { Interpretation, PrebuildOrder } from '../github/deliveries.ts'
import { Pace } from './pace.ts'

/** One commit that is pushed again and again is prebuilt at most this often, in milliseconds. */
const SAME_PUSH_MS = 1000
/** Deliveries a transaction. */
const MOST_DELIVERIES = 256
/**
 * Of so many each has little of what a commit costs. Waiting for more only lets the senders of these wait, who could send
 * their next ones while others are written.
 */
const ENOUGH_DELIVERIES = 16

/** A verified delivery. */
export interface Delivery {
  id: string
  event: string
  bodySha256: string
  asks: Interpretation
}

interface Waiting {
  delivery: Delivery
  resolve(did: string): void
  reject(error: unknown): void
}

/** Records deliveries and the jobs that they cause; those that arrive together, in one transaction. */
export class DeliveryGroups {
  readonly #database: Database
  readonly #pace = new Pace(SAME_PUSH_MS)
  #waiting: Waiting[] = []
  #draining: Promise<void> | undefined

  constructor(database: Database) {
    this.#database = database
  }

  /** Resolves with what was done once it is durable; a duplicate does nothing. */
  async record(delivery: Delivery): Promise<string> {
    return await new Promise((resolve, reject) => {
      this.#waiting.push({ delivery, resolve, reject })
      this.#draining ??= this.#drain()
    })
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0) {
      await whileMoreArrive(() => this.#waiting.length, ENOUGH_DELIVERIES)
      await this.#settle(this.#waiting.splice(0, MOST_DELIVERIES))
    }
    this.#draining = undefined
  }

  async #settle(group: readonly Waiting[]): Promise<void> {
    try {
      const did = await this.#database.write((unit) => this.#record(unit, group))
      for (const [at, { resolve }] of group.entries()) resolve(did[at] ?? '')
    } catch (error) {
      // One that fails must not take the others with it.
      if (group.length === 1) group[0]?.reject(error)
      else for (const each of group) await this.#settle([each])
    }
  }

  async #record(unit: Unit, group: readonly Waiting[]): Promise<string[]> {
    const received = Date.now()
    const did: string[] = []
    let last = ''
    for (const { delivery } of group) {
      const { id, event, bodySha256, asks } = delivery
      const row = { id, body_sha256: bodySha256, event, did: asks.act === 'prebuild' ? 'prebuild' : asks.did, received }
      const known = await recordDelivery(unit.db, row)
      did.push(known === 'new' ? row.did : known)
      if (known === 'duplicate' || asks.act !== 'prebuild') continue
      const { name, ref, commit } = asks.push
      const pushed = `${asks.githubId} ${name} ${ref} ${commit}`
      // The same again would change nothing.
      if (pushed !== last) await this.#order(unit, asks, received)
      last = pushed
    }
    return did
  }

  async #order(
    { db, notify }: Unit,
    { push, githubId }: Interpretation & { act: 'prebuild' },
    now: number,
  ): Promise<void> {
    const repository = await repositoryByGithub(db, githubId, push.name, now)
    await recordPush(db, { repository: repository.id, commit_id: push.commit, ref: push.ref, received: now })
    const order: PrebuildOrder = { repository: repository.id, ...push }
    const key = `${repository.id}:${push.commit}:${push.ref}`
    await enqueue(db, {
      ...{ kind: 'prebuild', key, now },
      runAfter: this.#pace.due(key, now),
      supersedes: `${repository.id}:${push.ref}`,
      payload: JSON.stringify(order),
    })
    notify('jobs')
  }
}
