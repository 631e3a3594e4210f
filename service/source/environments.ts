import { isDeepStrictEqual } from 'node:util'
import type * as z from 'zod/mini'
import { canonicalRequest } from '../../common/canonical-request.ts'
import type { CondaPlatform } from '../../common/conda-files.ts'
import { CodeVariant, InterpreterRequest, RunShape } from '../../common/contract.ts'
import { detect, formatsOn, NotDetected } from '../../common/detect.ts'
import { boolean, bytes, InputFault, number } from '../../common/input-text.ts'
import { nameList } from '../../common/name-list.ts'
import { treePath } from '../../common/tree-path.ts'
import type { TreeReader } from './bundle-tree.ts'
import { filledIn } from './matrix.ts'
import { type RunStep, runSteps, WorkflowUnreadable } from './workflow.ts'

/** An interpreter that a commit asks for, and the containers that its runs will want to find. */
export interface AskedEnvironment {
  interpreter: InterpreterRequest
  code: CodeVariant
  /** Each once. */
  shapes: RunShape[]
}

/** What a commit asks for. */
export interface AskedEnvironments {
  /** Each once. */
  environments: AskedEnvironment[]
  /** What was left out and why, for the log. */
  notes: string[]
}

const WORKFLOW = /^\.github\/workflows\/[^/]+\.ya?ml$/
const MAX_WORKFLOWS = 200
const MAX_ENVIRONMENTS = 100
const MAX_SHAPES = 20

/**
 * Which interpreters does this commit ask for: those of the steps in its own workflows that use this action on it, or
 * where there are none, the environment file at its root.
 * @param repository `owner/name` of the commit
 * @param platform of the machine that it is for
 */
export async function environmentsOf(
  tree: TreeReader,
  { repository, platform }: { repository: string; platform: CondaPlatform },
): Promise<AskedEnvironments> {
  const notes: string[] = []
  const paths = await tree.paths()
  const found = new Map<string, AskedEnvironment>()
  let steps = 0
  for (const path of paths.filter((path) => WORKFLOW.test(path)).slice(0, MAX_WORKFLOWS)) {
    for (const step of await stepsOf(tree, path, notes)) {
      const note = (text: string) => notes.push(`${path}: ${step.where}: ${text}`)
      if (!concerns(step, repository, note)) continue
      steps++
      for (const asked of askedBy(step, note)) add(found, asked)
    }
  }
  if (steps > 0) return { environments: [...found.values()], notes }
  return atRoot(paths, platform, notes)
}

/** One that was asked for before only adds the containers that it wants. */
function add(found: Map<string, AskedEnvironment>, asked: AskedEnvironment): void {
  const key = canonicalRequest(asked.interpreter, asked.code)
  const known = found.get(key)
  if (known === undefined) {
    if (found.size < MAX_ENVIRONMENTS) found.set(key, asked)
    return
  }
  for (const shape of asked.shapes) {
    const isNew = known.shapes.every((each) => !isDeepStrictEqual(each, shape))
    if (isNew && known.shapes.length < MAX_SHAPES) known.shapes.push(shape)
  }
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

/** What an image is made of: a step that says it by an expression that is not known can't be prebuilt. */
const IMAGE_FIELDS = [...Object.keys(InterpreterRequest.shape), ...Object.keys(CodeVariant.shape)]
/** What a container waits with: without it, one of the usual shape waits. */
const SHAPE_FIELDS = Object.keys(RunShape.shape)

/** How a field's text becomes what the contract has, as the Action reads its inputs. */
const READ: Record<string, (text: string) => unknown> = {
  interpreter: treePath,
  'additional-software': nameList,
  groups: nameList,
  'without-groups': nameList,
  extras: nameList,
  submodules: boolean,
  lfs: boolean,
  'path-to-source': (text) => treePath(text) || undefined,
  cpus: number,
  memory: bytes,
  preload: nameList,
}

type Note = (text: string) => void

/** Whether a step runs code of this repository. */
function concerns({ inputs }: RunStep, repository: string, note: Note): boolean {
  // What is on the runner then, nobody knows now.
  if (inputs.get('deployment') === 'mirror_local' && /^(auto|local.*)?$/.test(inputs.get('interpreter') ?? '')) {
    note('mirrors the interpreter of its runner; ignored')
    return false
  }
  const other = inputs.get('repository')
  if (other === undefined || other.includes('${{') || other.toLowerCase() === repository.toLowerCase()) return true
  note(`runs code of ${other}; ignored`)
  return false
}

function askedBy(step: RunStep, note: Note): AskedEnvironment[] {
  const all = rowsOf(step, [...IMAGE_FIELDS, ...SHAPE_FIELDS])
  const rows = all ?? rowsOf(step, IMAGE_FIELDS)
  const named = (fields: string[]) => fields.filter((field) => step.inputs.has(field)).join(', ')
  if (rows === undefined) {
    note(`${named(IMAGE_FIELDS)}: an expression that is known only when it runs; not prebuilt`)
    return []
  }
  if (all === undefined) note(`${named(SHAPE_FIELDS)}: an expression that is known only when it runs; left out`)
  return rows.flatMap((row) => {
    const interpreter = read(InterpreterRequest, row, note)
    const code = read(CodeVariant, row, note)
    if (interpreter === undefined || code === undefined) return []
    const shape = read(RunShape, row, note)
    return [{ interpreter, code, shapes: shape ? [shape] : [] }]
  })
}

/** The step's own texts of these fields, one row a combination of its matrix. */
function rowsOf({ inputs, matrix }: RunStep, fields: string[]): Map<string, string>[] | undefined {
  const given = fields.filter((field) => inputs.has(field))
  const texts = given.map((field) => inputs.get(field) ?? '')
  return filledIn(texts, matrix)?.map((row) => new Map(given.map((field, n) => [field, row[n] ?? ''])))
}

/** The fields of a shape, read; undefined, with a note, where one of them is wrong. */
function read<Shape extends z.ZodMiniObject>(
  schema: Shape,
  row: Map<string, string>,
  note: Note,
): z.infer<Shape> | undefined {
  const values: Record<string, unknown> = {}
  for (const field of Object.keys(schema.shape)) {
    const text = row.get(field)
    if (text === undefined) continue
    try {
      const value = READ[field] ? READ[field](text) : text
      if (value !== undefined) values[field] = value
    } catch (error) {
      if (!(error instanceof InputFault)) throw error
      note(`${field}: ${error.message}; not prebuilt`)
      return undefined
    }
  }
  const parsed = schema.safeParse(values)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  note(`${issue?.path.join('.')}: ${issue?.message}; not prebuilt`)
  return undefined
}

function atRoot(paths: string[], platform: CondaPlatform, notes: string[]): AskedEnvironments {
  try {
    detect(paths, formatsOn(platform))
    return { environments: [{ interpreter: { interpreter: 'auto' }, code: {}, shapes: [{ preload: [] }] }], notes }
  } catch (error) {
    if (!(error instanceof NotDetected)) throw error
    return { environments: [], notes: [...notes, `nothing is prebuilt: ${error.message}`] }
  }
}
