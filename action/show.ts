import { endGroup, startGroup } from '@actions/core'
import type { FollowedEvent } from '../client/follow.ts'
import type { Event } from '../common/events.ts'
import type { LogOutput } from './log-output.ts'
import { note, type Report } from './report.ts'
import { size } from './summary.ts'

/** Progress is said when it has grown by this part of the whole. */
const PROGRESS_STEP = 0.1

/** Shows a run in the step's log as it happens, what its build does in a group, and gives an account of it. */
export async function show(events: AsyncIterable<FollowedEvent>, run: string, log: LogOutput): Promise<Report> {
  const report: Report = { run, stages: [] }
  const progress = new Map<string, number>()
  let group: string | undefined
  for await (const { of, event } of events) {
    note(report, of, event)
    const wanted = of === run ? undefined : of
    if (wanted !== group) {
      if (group !== undefined) await log.command(endGroup)
      if (wanted !== undefined) await log.command(() => startGroup(`Build of the environment (${wanted})`))
      group = wanted
    }
    if (event.kind === 'log') await log.raw(event.text ?? Buffer.from(event.base64 ?? '', 'base64'))
    else for (const line of linesOf(event, progress)) await log.line(line)
  }
  if (group !== undefined) await log.command(endGroup)
  return report
}

function linesOf(event: Exclude<Event, { kind: 'log' }>, progress: Map<string, number>): string[] {
  switch (event.kind) {
    case 'note':
      return [event.text]
    case 'gap':
      return [`(${size(event.bytes)} of ${event.stream ?? 'the output'} were lost here)`]
    case 'cache':
      return [`Cache ${event.verdict}: ${event.reason}`]
    case 'stage':
      return [stageLine(event)]
    case 'progress':
      return grown(event, progress) ? [`${event.what}: ${event.done} of ${event.total}`] : []
    case 'state':
      return stateLines(event)
    case 'result':
      return []
  }
}

function stageLine(stage: Extract<Event, { kind: 'stage' }>): string {
  const { 'bytes-reused': reused, 'bytes-transferred': transferred, detail } = stage
  const remarks = [
    ...(reused === undefined ? [] : [`${size(reused)} reused`]),
    ...(transferred === undefined ? [] : [`${size(transferred)} transferred`]),
    ...(detail ? [detail] : []),
  ]
  return `${stage.name}: ${stage.seconds.toFixed(3)} s${remarks.length > 0 ? ` (${remarks.join(', ')})` : ''}`
}

function stateLines({ state, ahead, build, message, hint }: Extract<Event, { kind: 'state' }>): string[] {
  const lines: string[] = []
  if (state === 'queued' && ahead) lines.push(`Waits for ${ahead} ${ahead === 1 ? 'run' : 'runs'} before it.`)
  if (build !== undefined) lines.push(`Waits for build ${build}.`)
  if (message !== undefined) lines.push(message)
  if (hint !== undefined) lines.push(hint)
  return lines
}

function grown({ what, done, total }: Extract<Event, { kind: 'progress' }>, said: Map<string, number>): boolean {
  const before = said.get(what)
  if (before !== undefined && done < total && done < before + total * PROGRESS_STEP) return false
  said.set(what, done)
  return before !== done
}
