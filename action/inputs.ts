import { getInput, setSecret } from '@actions/core'
import { RunRequest } from '../common/contract.ts'
import {
  boolean,
  bytes,
  environmentLines,
  InputFault,
  json,
  lines,
  milliseconds,
  number,
  pythonVersion,
  url,
} from '../common/input-text.ts'
import { nameList } from '../common/name-list.ts'
import { treePath } from '../common/tree-path.ts'

/** Every input of action.yml, and how its text is read. */
export const INPUTS = {
  interpreter: treePath,
  'python-version': pythonVersion,
  'base-image': text,
  'additional-software': nameList,
  groups: nameList,
  'without-groups': nameList,
  extras: nameList,
  deployment: text,
  repository: text,
  ref: text,
  submodules: boolean,
  lfs: boolean,
  'path-to-source': treePath,
  'extra-paths': lines,
  command: text,
  args: json,
  function: text,
  'function-args': json,
  env: environmentLines,
  'working-directory': treePath,
  cpus: number,
  memory: bytes,
  timeout: milliseconds,
  network: text,
  preload: nameList,
  'service-url': url,
  token: text,
} satisfies Record<string, (text: string) => unknown>

type Name = keyof typeof INPUTS
type Read = { [name in Name]?: ReturnType<(typeof INPUTS)[name]> }

/** The inputs, checked. What a run is asked for is complete but for the commit. */
export interface Inputs {
  serviceUrl: URL
  token: string
  ref: string | undefined
  repository: string
  interpreter: string
  /** Of mirror_local. */
  extraPaths: string[]
  request: Omit<RunRequest, 'commit'>
}

/** All that is wrong with the inputs. */
export class InputsInvalid extends Error {
  override name = 'InputsInvalid'
  readonly hint = 'Correct the "with:" of this step; README.md lists all inputs.'
  constructor(problems: readonly string[]) {
    super(
      problems.length === 1 ? (problems[0] as string) : `${problems.length} inputs are wrong:\n${problems.join('\n')}`,
    )
  }
}

const WAYS = ['command', 'args', 'function'] as const
/** What means nothing with the other deployment. */
const OWN = { git_repo: ['ref', 'submodules', 'lfs'], mirror_local: ['extra-paths'] } as const
/** Checks the rest; the code is found later. */
const ANY_COMMIT = '0'.repeat(40)

/**
 * Reads all inputs of the step at once.
 * @throws {InputsInvalid} naming every input at fault
 */
export function readInputs(): Inputs {
  const problems: string[] = []
  const read: Read = {}
  for (const name of Object.keys(INPUTS) as Name[]) {
    // An input that is not given is an empty text.
    const given = getInput(name)
    if (name === 'token' && given) setSecret(given)
    if (given) Object.assign(read, readOne(name, given, problems))
  }
  for (const name of ['service-url', 'token', 'repository'] as const) {
    if (getInput(name) === '') problems.push(`${name}: is needed`)
  }
  checkWays(read, problems)
  checkDeployment(problems)
  const { 'service-url': serviceUrl, token, ref, 'extra-paths': extraPaths = [], ...request } = read
  const checked = RunRequest.safeParse({ ...request, commit: ANY_COMMIT })
  for (const issue of checked.error?.issues ?? []) {
    const name = String(issue.path[0])
    if (getInput(name) !== '') problems.push(`${issue.path.join('.')}: ${issue.message}`)
  }
  if (problems.length > 0 || !checked.success || !serviceUrl || !token) throw new InputsInvalid([...new Set(problems)])
  const { commit: _, ...complete } = checked.data
  return {
    serviceUrl,
    token,
    ref,
    repository: complete.repository,
    interpreter: complete.interpreter,
    extraPaths,
    request: complete,
  }
}

function readOne(name: Name, given: string, problems: string[]): Partial<Record<Name, unknown>> {
  try {
    const value = INPUTS[name](given)
    // The root of the repository needs no name.
    return value === '' ? {} : { [name]: value }
  } catch (error) {
    if (!(error instanceof InputFault)) throw error
    problems.push(`${name}: ${error.message}`)
    return {}
  }
}

function checkWays(read: Read, problems: string[]): void {
  const given = WAYS.filter((way) => getInput(way) !== '')
  if (given.length === 0) problems.push('command: one of command, args and function is needed')
  if (given.length > 1) problems.push(`${given.slice(1).join(', ')}: cannot be given together with ${given[0]}`)
  if (read['function-args'] !== undefined && getInput('function') === '') {
    problems.push('function-args: has a meaning only with function')
  }
}

function checkDeployment(problems: string[]): void {
  const mirrored = getInput('deployment') === 'mirror_local'
  for (const name of OWN[mirrored ? 'git_repo' : 'mirror_local']) {
    if (getInput(name) !== '')
      problems.push(`${name}: has a meaning only with ${mirrored ? 'git_repo' : 'mirror_local'}`)
  }
  if (!mirrored && /^local(-conda:|-python:|$)/.test(getInput('interpreter'))) {
    problems.push('interpreter: an interpreter of this machine goes only with "deployment: mirror_local"')
  }
}

function text(given: string): string {
  return given
}
