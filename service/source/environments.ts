import { canonicalRequest } from '../../common/canonical-request.ts'
import { InterpreterRequest } from '../../common/contract.ts'
import { detect, NotDetected } from '../../common/detect.ts'
import { nameList } from '../../common/name-list.ts'
import { treePath } from '../../common/tree-path.ts'
import type { TreeReader } from './bundle-tree.ts'
import { filledIn } from './matrix.ts'
import { type RunStep, runSteps, WorkflowUnreadable } from './workflow.ts'

/** What a commit asks for. */
export interface AskedEnvironments {
  /** Each once. */
  requests: InterpreterRequest[]
  /** What was left out and why, for the log. */
  notes: string[]
}

const WORKFLOW = /^\.github\/workflows\/[^/]+\.ya?ml$/
const MAX_WORKFLOWS = 200
const MAX_REQUESTS = 100

/**
 * Which interpreters does this commit ask for: those of the steps in its own workflows that use this action on it, or
 * where there are none, the environment file at its root.
 * @param repository `owner/name` of the commit
 */
export async function environmentsOf(tree: TreeReader, repository: string): Promise<AskedEnvironments> {
  const notes: string[] = []
  const paths = await tree.paths()
  const requests = new Map<string, InterpreterRequest>()
  let steps = 0
  for (const path of paths.filter((path) => WORKFLOW.test(path)).slice(0, MAX_WORKFLOWS)) {
    for (const step of await stepsOf(tree, path, notes)) {
      const note = (text: string) => notes.push(`${path}: ${step.where}: ${text}`)
      if (!concerns(step, repository, note)) continue
      steps++
      for (const request of requestsOf(step, note)) {
        if (requests.size < MAX_REQUESTS) requests.set(canonicalRequest(request), request)
      }
    }
  }
  if (steps > 0) return { requests: [...requests.values()], notes }
  return atRoot(paths, notes)
}

async function stepsOf(tree: TreeReader, path: string, notes: string[]): Promise<RunStep[]> {
  try {
    return runSteps((await tree.read(path)) ?? Buffer.alloc(0))
  } catch (error) {
    if (!(error instanceof WorkflowUnreadable)) throw error
    notes.push(`${path}: ${error.message}; ignored`)
    return []
  }
}

const FIELDS = ['interpreter', 'python-version', 'base-image', 'groups', 'extras'] as const

/** How a field's text becomes what the contract has. */
const READ: Partial<Record<(typeof FIELDS)[number], (text: string) => unknown>> = {
  interpreter: treePath,
  groups: nameList,
  extras: nameList,
}

type Note = (text: string) => void

/** Whether a step runs code of this repository. */
function concerns({ inputs }: RunStep, repository: string, note: Note): boolean {
  const other = inputs.get('repository')
  if (other === undefined || other.includes('${{') || other.toLowerCase() === repository.toLowerCase()) return true
  note(`runs code of ${other}; ignored`)
  return false
}

function requestsOf({ inputs, matrix }: RunStep, note: Note): InterpreterRequest[] {
  const given = FIELDS.flatMap((field) => (inputs.has(field) ? [[field, inputs.get(field) ?? ''] as const] : []))
  const rows = filledIn(
    given.map(([, text]) => text),
    matrix,
  )
  if (rows === undefined) {
    note(`${given.map(([field]) => field).join(', ')}: an expression that is known only when it runs; not prebuilt`)
    return []
  }
  return rows.flatMap((row) => {
    const values = given.map(([field], n) => [field, READ[field]?.(row[n] ?? '') ?? row[n]])
    const parsed = InterpreterRequest.safeParse(Object.fromEntries(values))
    if (parsed.success) return [parsed.data]
    const [issue] = parsed.error.issues
    note(`${issue?.path.join('.')}: ${issue?.message}; not prebuilt`)
    return []
  })
}

function atRoot(paths: string[], notes: string[]): AskedEnvironments {
  try {
    detect(paths)
    return { requests: [{ interpreter: 'auto' }], notes }
  } catch (error) {
    if (!(error instanceof NotDetected)) throw error
    return { requests: [], notes: [...notes, `nothing is prebuilt: ${error.message}`] }
  }
}
