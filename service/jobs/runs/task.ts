import { posix } from 'node:path'
import type { RunRequest } from '../../../common/contract.ts'
import { type SysPath, type Task, WORKSPACE, workspace } from '../../engine/standby.ts'

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
    sysPath: sysPathOf(request),
    timeout: request.timeout ?? timeout,
  }
}

/** Where modules are looked for before a task is known: what its function will find. */
export function preloadPath(request: Pick<RunRequest, 'path-to-source' | 'mirror'>): SysPath {
  return sysPathOf({ ...request, function: '' })
}

/**
 * What is put first on Python's path: a path-to-source; then for a function the code's root, but for a command not, as
 * Python finds what lies beside a program by itself. Mirrored code has for both what it had on its own machine.
 */
function sysPathOf(request: Pick<RunRequest, 'path-to-source' | 'function' | 'mirror'>): SysPath {
  const { 'path-to-source': source, mirror } = request
  const named = source === undefined ? [] : [posix.join(WORKSPACE, source)]
  if (mirror !== undefined) {
    const folders = (behind: boolean) =>
      mirror['sys-path']
        .filter((each) => (each.behind ?? false) === behind)
        .map(({ root, path = '' }) => posix.join(workspace(root), path))
    return { first: [...named, ...folders(false)], behind: folders(true) }
  }
  return { first: request.function === undefined ? named : [...named, WORKSPACE], behind: [] }
}

function way({ command, args, function: name, 'function-args': functionArgs }: RunRequest): Task {
  if (command !== undefined) return { command }
  if (args !== undefined) return { argv: args }
  if (name !== undefined)
    return functionArgs === undefined ? { function: name } : { function: name, args: functionArgs }
  throw new Error('a run without command, args and function was accepted')
}
