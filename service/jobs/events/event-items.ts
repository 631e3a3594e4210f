import type { LogChannel, LogFd, Mark, StreamState } from './event-stream-state.ts'
import type { LogPiece } from './log-text.ts'

/** What waits for its batch. Output is masked and cut only there, so that small pieces are joined first. */
export type EventItem = { state: StreamState; size: number } & (
  | { kind: 'event'; json: string }
  | { kind: 'log'; fd: LogFd; bytes: Buffer; time: number; mark?: Mark | undefined }
  /** Output that is held back is to be told as it is; where `pushes` is set, only if nothing was pushed since. */
  | { kind: 'release'; fd: LogFd; pushes?: number; time: number }
)

/** An item, and those that can be told together with it. */
export type ItemGroup = [EventItem, ...EventItem[]]

/** Output of one kind that follows upon itself together; everything else alone. */
export function grouped(items: readonly EventItem[]): ItemGroup[] {
  const groups: ItemGroup[] = []
  for (const item of items) {
    const last = groups.at(-1)
    if (last !== undefined && goesOn(last[0], item)) last.push(item)
    else groups.push([item])
  }
  return groups
}

function goesOn(first: EventItem, item: EventItem): boolean {
  return first.kind === 'log' && item.kind === 'log' && first.state === item.state && first.fd === item.fd
}

/** What a group leads to: events as JSON, without their number, and who wants to know when they are stored. */
export interface Told {
  events: string[]
  stored?: (() => void) | undefined
}

/** Turns a group into events. */
export function told(group: ItemGroup): Told {
  const [first] = group
  if (first.kind === 'event') return { events: [first.json] }
  const { state, fd } = first
  const pieces = piecesOf(group, state.channels[fd])
  const mark = state.reached(marksOf(group).at(-1))
  const time = timeOf(first.time)
  const events = pieces.map((piece, index) => {
    // First of all, where it is looked for: see `lastEnd`.
    const end = index === pieces.length - 1 ? mark?.end : undefined
    return JSON.stringify({ kind: 'log', end, time, stream: fd, ...piece })
  })
  return { events, stored: mark && (() => mark.stored()) }
}

function piecesOf(group: ItemGroup, channel: LogChannel): LogPiece[] {
  const [first] = group
  if (first.kind !== 'release') return channel.push(outputOf(group))
  return (first.pushes ?? channel.pushes) === channel.pushes ? channel.release() : []
}

function marksOf(group: ItemGroup): Mark[] {
  return group.flatMap((item) => (item.kind === 'log' && item.mark ? [item.mark] : []))
}

function outputOf(group: ItemGroup): Buffer {
  const parts = group.flatMap((item) => (item.kind === 'log' ? [item.bytes] : []))
  return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts)
}

/** RFC 3339 with milliseconds. */
export function timeOf(ms: number): string {
  return new Date(ms).toISOString()
}
