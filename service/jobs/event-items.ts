import type { LogFd, StreamState } from './event-stream-state.ts'

/** A place in the output of a run. */
export interface Mark {
  /** The offset behind the output, where it came from. Stored with it, so that its reader can resume there. */
  end: number
  /** Called once everything before `end` is stored. */
  stored(): void
}

/** What waits for its batch. Output is masked and cut only there, so that small pieces are joined first. */
export type EventItem = { state: StreamState; size: number } & (
  | { kind: 'event'; json: string }
  | { kind: 'log'; fd: LogFd; bytes: Buffer; time: number; mark?: Mark }
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
  const mark = markOf(group)
  return pieces.map((piece, index) => {
    const end = index === pieces.length - 1 ? mark?.end : undefined
    return JSON.stringify({ kind: 'log', time, stream: first.fd, ...piece, end })
  })
}

/** The last mark, if nothing before it is held back any more. The state keeps it until the group is stored. */
function markOf(group: ItemGroup): Mark | undefined {
  const last = group.at(-1)
  const { state } = group[0]
  if (last?.kind === 'log' && last.mark !== undefined) state.mark = last.mark
  if (Object.values(state.channels).some(({ holds }) => holds)) return undefined
  state.marked = state.mark
  return state.mark
}

function outputOf(group: ItemGroup): Buffer {
  const parts = group.flatMap((item) => (item.kind === 'log' ? [item.bytes] : []))
  return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts)
}

/** RFC 3339 with milliseconds. */
export function timeOf(ms: number): string {
  return new Date(ms).toISOString()
}
