import { parseDocument } from 'yaml'
import { list, type Matrix, matrixOf, plain, record } from './matrix.ts'

/** A step that uses this action, as a workflow says it. */
export interface RunStep {
  /** `job "test", step 3` */
  where: string
  /** `with:`; values that are not plain are left out. */
  inputs: ReadonlyMap<string, string>
  matrix: Matrix
}

/** A workflow file that can't be read. */
export class WorkflowUnreadable extends Error {
  override name = 'WorkflowUnreadable'
}

/** What `uses:` must say. GitHub takes names in any case of letters. */
const USES = /^meadow\/run@./i

/** Aliases may be followed this often; more is an attack (https://en.wikipedia.org/wiki/Billion_laughs_attack). */
const MAX_ALIASES = 100
const MAX_BYTES = 1024 * 1024

/**
 * The steps of a workflow that use this action.
 * @throws {WorkflowUnreadable} where it is too large or not well formed
 */
export function runSteps(content: Uint8Array): RunStep[] {
  return Object.entries(record(record(parse(content)).jobs)).flatMap(([name, value]) => {
    const job = record(value)
    const matrix = matrixOf(record(job.strategy).matrix)
    return list(job.steps).flatMap((value, index): RunStep[] => {
      const step = record(value)
      if (typeof step.uses !== 'string' || !USES.test(step.uses.trim())) return []
      const inputs = Object.entries(record(step.with)).flatMap(([key, value]): [string, string][] => {
        const text = plain(value)?.trim()
        // An input that is empty counts as one that is not there.
        return text ? [[key.toLowerCase(), text]] : []
      })
      return [{ where: `job ${JSON.stringify(name)}, step ${index + 1}`, inputs: new Map(inputs), matrix }]
    })
  })
}

function parse(content: Uint8Array): unknown {
  if (content.length > MAX_BYTES) throw new WorkflowUnreadable(`has more than ${MAX_BYTES} bytes`)
  try {
    const document = parseDocument(Buffer.from(content).toString('utf8'), { prettyErrors: true, logLevel: 'silent' })
    const [error] = document.errors
    if (error) throw error
    return document.toJS({ maxAliasCount: MAX_ALIASES })
  } catch (error) {
    // The parser's own errors, and what its recursion meets in files made to be deep.
    if (!(error instanceof Error)) throw error
    throw new WorkflowUnreadable(`is not a YAML that can be read: ${error.message.split('\n', 1)[0]}`)
  }
}
