import type { Run } from '../common/contract.ts'
import type { CacheAccount, Event, Outcome, Verdict } from '../common/events.ts'

type Stage = Extract<Event, { kind: 'stage' }>

/** What a run's events said, for the outputs and the summary. */
export interface Report {
  run: string
  /** What was known of the image, as far as the service said so without an account. */
  verdict?: Verdict
  cache?: CacheAccount
  stages: { of: string; stage: Stage }[]
  /** JSON text of what the function returned. */
  result?: string
  outcome?: Outcome
  exitCode?: number
  message?: string
  hint?: string
  image?: string
  secondsToStart?: number
}

/** Adds what an event says. */
export function note(report: Report, of: string, event: Event): void {
  if (event.kind === 'stage') report.stages.push({ of, stage: event })
  if (event.kind === 'cache') {
    const { kind: _, seq: __, time: ___, ...account } = event
    report.cache = account
  }
  if (event.kind === 'result') report.result = JSON.stringify(event.value)
}

/** Takes over how the run ended, in the service's own words. */
export function conclude(report: Report, run: Run): void {
  if (run.cache !== undefined) report.verdict = run.cache
  if (run.outcome !== undefined) report.outcome = run.outcome
  if (run['exit-code'] !== undefined) report.exitCode = run['exit-code']
  if (run.message !== undefined) report.message = run.message
  if (run.hint !== undefined) report.hint = run.hint
  if (run.image !== undefined) report.image = run.image
  if (run['seconds-to-start'] !== undefined) report.secondsToStart = run['seconds-to-start']
}

/** Results above this are not set: GitHub refuses outputs of more than 1 MB. */
const MAX_RESULT = 1_000_000

/** Every output of action.yml; empty where there is nothing to say. */
export function outputs(report: Report): Record<OutputName, string> {
  const { run, outcome, exitCode, result = '', cache, verdict, image, secondsToStart } = report
  return {
    'run-id': run,
    outcome: outcome ?? '',
    'exit-code': exitCode === undefined ? '' : String(exitCode),
    result: Buffer.byteLength(result) > MAX_RESULT ? '' : result,
    cache: cache?.verdict ?? verdict ?? '',
    image: cache?.image || image || '',
    'seconds-to-start': secondsToStart === undefined ? '' : String(secondsToStart),
  }
}
type OutputName = 'run-id' | 'outcome' | 'exit-code' | 'result' | 'cache' | 'image' | 'seconds-to-start'

/** Why the step fails, and the exit code that it fails with; undefined where the run went well. */
export function failure({ outcome, exitCode, message, hint }: Report): { text: string; exitCode: number } | undefined {
  if (outcome === 'ok') return undefined
  const why: Record<Exclude<Outcome, 'ok'>, string> = {
    failed: `The command ended with exit code ${exitCode ?? 'unknown'}.`,
    error: 'The run could not be done.',
    timeout: 'The command took longer than its time limit.',
    oom: 'The command wanted more memory than its limit.',
    'disk-limit': 'The command wrote more to its disk than its limit.',
    cancelled: 'The run was cancelled.',
    lost: 'The run was lost with its machine.',
  }
  const text = [outcome ? why[outcome] : 'The run did not end.', message, hint].filter(Boolean).join('\n')
  return { text, exitCode: outcome === 'failed' && exitCode ? exitCode & 0xff || 1 : 1 }
}
