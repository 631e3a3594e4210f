import { AsyncLocalStorage } from 'node:async_hooks'
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { type CompiledQuery, type DatabaseConnection, Kysely, type QueryResult } from 'kysely'
import type { Topic, Unit } from './database.ts'
import type { StateDatabase } from './schema.ts'
import { SqliteConnection, sqliteDialect } from './sqlite-driver.ts'
import { whileMoreArrive } from './turns.ts'

/** Units a commit: bounds how long the first one waits for the others. */
const MOST_UNITS = 256

/** Of so many each has little of what a commit costs: more company is not worth a turn of waiting. */
const ENOUGH_UNITS = 16

/** A unit that takes longer waits for something that is no query, and everybody waits for it. */
const UNIT_MS = 10_000

interface Waiting {
  run(): Promise<void>
  /** What it notified. */
  topics: Set<Topic>
  resolve(): void
  reject(error: unknown): void
}

/** The one writer of a database: units that wait at the same time share a transaction and its synchronous commit. */
export class GroupCommit {
  readonly #db: DatabaseSync
  readonly #savepoints: { open: StatementSync; release: StatementSync }
  readonly #connection: SqliteConnection
  readonly #notify: (topic: Topic) => void
  /** The unit whose code runs, or whose code began what runs. */
  readonly #unit = new AsyncLocalStorage<UnitConnection>()
  #waiting: Waiting[] = []
  #draining: Promise<void> | undefined
  #closed = false

  constructor(db: DatabaseSync, notify: (topic: Topic) => void) {
    this.#db = db
    this.#savepoints = { open: db.prepare('SAVEPOINT unit'), release: db.prepare('RELEASE unit') }
    this.#connection = new SqliteConnection(db)
    this.#notify = notify
  }

  async write<T>(unit: (unit: Unit) => Promise<T>): Promise<T> {
    if (this.#closed) throw new Error('the database is closed')
    if (this.#unit.getStore()?.ended === false)
      throw new Error('a unit must not wait for another unit: it would wait for itself')
    return await new Promise<T>((resolve, reject) => {
      const topics = new Set<Topic>()
      let result: T
      this.#waiting.push({
        topics,
        run: async () => {
          result = await this.#runUnit(unit, topics)
        },
        resolve: () => resolve(result),
        reject,
      })
      this.#draining ??= this.#drain()
    })
  }

  /** Resolves when all that was given is committed or rejected. Nothing is taken any more. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#draining
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0) {
      await whileMoreArrive(() => this.#waiting.length, ENOUGH_UNITS)
      await this.#commit(this.#waiting.splice(0, MOST_UNITS))
    }
    this.#draining = undefined
  }

  async #commit(batch: Waiting[]): Promise<void> {
    let done: Waiting[]
    try {
      this.#db.exec('BEGIN IMMEDIATE')
      done = await this.#run(batch)
      this.#db.exec('COMMIT')
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
      // Those that were rejected before stay so: a promise settles once.
      for (const waiting of batch) waiting.reject(error)
      return
    }
    for (const { resolve } of done) resolve()
    for (const topic of new Set(done.flatMap(({ topics }) => [...topics]))) this.#notify(topic)
  }

  /** Runs units, those that fail are rejected. Those that are part of the transaction. */
  async #run(batch: Waiting[]): Promise<Waiting[]> {
    const [first, ...others] = batch
    // One alone is undone with its transaction. SQLite copies each page that changes inside a savepoint.
    if (first !== undefined && others.length === 0) {
      await first.run()
      return batch
    }
    const done: Waiting[] = []
    for (const waiting of batch) if (await this.#savepoint(waiting)) done.push(waiting)
    return done
  }

  /** Runs a unit in a savepoint. Whether it is part of the transaction. */
  async #savepoint(waiting: Waiting): Promise<boolean> {
    this.#savepoints.open.run()
    try {
      await waiting.run()
      this.#savepoints.release.run()
      return true
    } catch (error) {
      waiting.reject(error)
      // A full disk or a failing read ends the whole transaction (sqlite.org/lang_transaction.html, section 2.4).
      if (!this.#db.isTransaction) throw error
      this.#db.exec('ROLLBACK TO unit')
      this.#db.exec('RELEASE unit')
      return false
    }
  }

  async #runUnit<T>(unit: (unit: Unit) => Promise<T>, topics: Set<Topic>): Promise<T> {
    const connection = new UnitConnection(this.#connection)
    const db = new Kysely<StateDatabase>({ dialect: sqliteDialect(connection) })
    const late = Promise.withResolvers<never>()
    const timer = setTimeout(() => late.reject(new UnitTooLong()), UNIT_MS)
    try {
      const work = this.#unit.run(connection, () => unit({ db, notify: (topic) => topics.add(topic) }))
      return await Promise.race([work, late.promise])
    } finally {
      clearTimeout(timer)
      connection.ended = true
    }
  }
}

/** A unit waited for something else than its own queries. */
export class UnitTooLong extends Error {
  override name = 'UnitTooLong'
  constructor() {
    super(`a unit took longer than ${UNIT_MS} ms and was rolled back: it may await nothing but its own queries`)
  }
}

/** Refuses queries once its unit has ended: they would land in the transaction of another. */
class UnitConnection implements DatabaseConnection {
  ended = false
  readonly #connection: DatabaseConnection

  constructor(connection: DatabaseConnection) {
    this.#connection = connection
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    if (this.ended) throw new Error('a query came after the end of its unit: await all of them inside')
    return await this.#connection.executeQuery<R>(query)
  }

  async *streamQuery<R>(query: CompiledQuery, chunkSize?: number): AsyncIterableIterator<QueryResult<R>> {
    if (this.ended) throw new Error('a query came after the end of its unit: await all of them inside')
    yield* this.#connection.streamQuery<R>(query, chunkSize)
  }
}
