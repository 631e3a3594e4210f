import type { Kysely } from 'kysely'
import type { EventsDatabase, StateDatabase } from './schema.ts'

/** What happens in one transaction. */
export interface Unit {
  db: Kysely<StateDatabase>
  /** Tells subscribers, here and on other nodes, once the transaction is committed. */
  notify(topic: Topic): void
}

/** `jobs`, `events:<run or build>`, `cancel:<run>` */
export type Topic = 'jobs' | `events:${string}` | `cancel:${string}`

/** Durable state. Reads go to `state` and see what is committed; every write is a unit of `write`. */
export interface Database {
  readonly state: Kysely<StateDatabase>
  /** Events of builds and runs. Only the event writer writes here. */
  readonly events: Kysely<EventsDatabase>
  /**
   * Runs a unit in a transaction and resolves once it is durable. Units that wait at the same time share a commit;
   * one that throws is rolled back alone. A unit awaits nothing but its own queries.
   */
  write<T>(unit: (unit: Unit) => Promise<T>): Promise<T>
  /** Tells subscribers of something that no unit did: events that were written. */
  notify(topic: Topic): void
  /** Calls back after commits that notified the topic, and every 5 s in any case. Returns the way to stop. */
  subscribe(topic: Topic, heard: () => void): () => void
  /** Finishes what is queued, then closes the files. */
  close(): Promise<void>
}
