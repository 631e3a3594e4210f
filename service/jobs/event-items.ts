import type { LogFd, StreamState } from './event-stream-state.ts'

/** What waits for its batch. Output is masked and cut only there, so that small pieces are joined first. */
export type EventItem = { state: StreamState; size: number } & (
  | { kind: 'event'; json: string }
  | { kind: 'log'; fd: LogFd; bytes: Buffer; time: number }
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

/** The events, as JSON without their number, that a group leads to. */
export function eventsOf(group: ItemGroup): string[] {
  const [first] = group
  if (first.kind === 'event') return [first.json]
  const channel = first.state.channels[first.fd]
  if (first.kind === 'release' && (first.pushes ?? channel.pushes) !== channel.pushes) return []
  const pieces = first.kind === 'release' ? channel.release() : channel.push(outputOf(group))
  const time = timeOf(first.time)
  return pieces.map((piece) => JSON.stringify({ kind: 'log', time, stream: first.fd, ...piece }))
}

function outputOf(group: ItemGroup): Buffer {
  const parts = group.flatMap((item) => (item.kind === 'log' ? [item.bytes] : []))
  return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts)
}

/** RFC 3339 with milliseconds. */
export function timeOf(ms: number): string {
  return new Date(ms).toISOString()
}
