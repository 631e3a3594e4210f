import { ContainerMissing, DiskFull, EngineRefused, EngineUnavailable } from './engine.ts'

const TYPED = [EngineUnavailable, DiskFull, ContainerMissing, EngineRefused]

/** What dockerode rejects with: an HTTP status where the engine answered, a system error code where it did not. */
interface DockerError {
  statusCode?: number
  code?: string
  name?: string
  json?: { message?: string }
}

/**
 * The typed error for one that a call to Docker threw.
 * @param doing what was being done, as in "cannot create a container"
 * @param where the engine's address
 */
export function engineError(error: unknown, doing: string, where: string): Error {
  if (TYPED.some((type) => error instanceof type)) return error as Error
  const { statusCode, code, name, json } = (error ?? {}) as DockerError
  const text = error instanceof Error ? error.message : String(error)
  const said = (json?.message ?? text.replace(/^\(HTTP code \d+\) .*? - /, '')).trim()
  const message = `cannot ${doing}: ${said}`
  if (/no space left on device/i.test(said)) {
    return new DiskFull(`${message}; free space where Docker keeps its data`, { cause: error })
  }
  if (statusCode === 404 && /no such container/i.test(said)) return new ContainerMissing(message, { cause: error })
  if (statusCode !== undefined && statusCode !== 503) return new EngineRefused(message, { cause: error })
  if (code === 'EACCES') {
    const fix = 'run the service as root or as a member of the group that owns the socket'
    return new EngineUnavailable(`cannot ${doing}: no permission to talk to Docker at ${where}; ${fix}`, {
      cause: error,
    })
  }
  const why = name === 'TimeoutError' || name === 'AbortError' ? 'no answer in time' : (code ?? said)
  return new EngineUnavailable(`cannot ${doing}: Docker at ${where} does not answer (${why}); is it running?`, {
    cause: error,
  })
}

/** Whether the engine answered with one of these HTTP statuses. */
export function answered(error: unknown, ...statuses: number[]): boolean {
  return statuses.includes((error as DockerError)?.statusCode ?? 0)
}
