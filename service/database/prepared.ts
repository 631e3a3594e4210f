import type { Compilable, CompiledQuery, Kysely, QueryResult } from 'kysely'
import type { StateDatabase } from './schema.ts'

type Db = Kysely<StateDatabase>

/** Stands in a query for a value that is given later. */
class Placeholder {
  readonly name: PropertyKey
  constructor(name: PropertyKey) {
    this.name = name
  }
}

/**
 * A query whose text is made once, for the path of a webhook delivery: building and compiling a query takes several
 * times as long as running it. Every parameter must be a value of the query, never decide on its shape.
 */
export function prepared<Params extends object, Row>(
  build: (db: Db, params: Params) => Compilable<Row>,
): (db: Db, params: Params) => Promise<QueryResult<Row>> {
  /** One for each dialect, by its adapter. */
  const compiled = new WeakMap<object, CompiledQuery<Row>>()
  return async (db, params) => {
    const dialect = db.getExecutor().adapter.constructor
    const query = compiled.get(dialect) ?? build(db, placeholders<Params>()).compile()
    compiled.set(dialect, query)
    const parameters = query.parameters.map((each) =>
      each instanceof Placeholder ? params[each.name as keyof Params] : each,
    )
    return await db.executeQuery<Row>({ ...query, parameters })
  }
}

function placeholders<Params extends object>(): Params {
  return new Proxy({} as Params, { get: (_, name) => new Placeholder(name) })
}
