import { posix } from 'node:path'
import type { RunRequest } from '../../common/contract.ts'
import { type Task, WORKSPACE } from '../engine/standby.ts'

/**
 * What a request's user process is.
 * @param timeout milliseconds that it may take where the request says nothing
 */
export function taskOf(request: RunRequest, timeout: number): Task {
  const source = posix.join(WORKSPACE, request['path-to-source'] ?? '')
  return {
    ...way(request),
    env: request.env,
    cwd: request['working-directory'] === undefined ? source : posix.join(WORKSPACE, request['working-directory']),
    sysPath: source === WORKSPACE ? [source] : [source, WORKSPACE],
    timeout: request.timeout ?? timeout,
  }
}

function way({ command, args, function: name, 'function-args': functionArgs }: RunRequest): Task {
  if (command !== undefined) return { command }
  if (args !== undefined) return { argv: args }
  if (name !== undefined)
    return functionArgs === undefined ? { function: name } : { function: name, args: functionArgs }
  throw new Error('a run without command, args and function was accepted')
}
