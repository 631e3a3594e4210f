import * as z from 'zod/mini'

/** What happens to builds and runs, as it is told on the wire. The calls themselves are in contract.ts. */

/** Whether an image was known: all of it, some of it, in the making for somebody else, or nothing. */
export const Verdict = z.enum(['hit', 'partial', 'joined', 'miss'])
export type Verdict = z.infer<typeof Verdict>
/** Where a run is. */
export const RunState = z.enum(['queued', 'building', 'starting', 'running', 'finished'])
export type RunState = z.infer<typeof RunState>
/** How a run ended. `failed`: its process did; `error`: it could not be run; `lost`: nobody knows. */
export const Outcome = z.enum(['ok', 'failed', 'error', 'timeout', 'oom', 'disk-limit', 'cancelled', 'lost'])
export type Outcome = z.infer<typeof Outcome>
/** Where a build is. */
export const BuildState = z.enum(['queued', 'building', 'finished', 'failed'])
export type BuildState = z.infer<typeof BuildState>

/** One package of a lock diff, and why it is new. */
export const PackageChange = z.object({
  name: z.string(),
  /** Absent where the package is new. */
  before: z.optional(z.string()),
  /** Absent where the package is gone. */
  after: z.optional(z.string()),
  why: z.string(),
})
export type PackageChange = z.infer<typeof PackageChange>

/** The account of what was reused and why. */
export const CacheAccount = z.object({
  verdict: Verdict,
  /** One sentence. */
  reason: z.string(),
  /** Which file or image the environment was made from, and why that one. */
  environment: z.string(),
  packages: z.array(PackageChange),
  /** Packages whose fragments had to be made. */
  'packages-new': z.int(),
  'bytes-reused': z.int(),
  'bytes-transferred': z.int(),
  /** Digest of the image's manifest. */
  image: z.string(),
  /** When the lock was resolved (RFC 3339), and which requirements were left open to more than one version. */
  resolved: z.string(),
  unpinned: z.array(z.string()),
})
export type CacheAccount = z.infer<typeof CacheAccount>

const stamped = { seq: z.int(), time: z.string() }
/** Everything that happens to a build or a run, in order. */
export const Event = z.discriminatedUnion('kind', [
  z.object({
    ...stamped,
    kind: z.literal('log'),
    stream: z.enum(['stdout', 'stderr']),
    /** Where it is text; else base64. */
    text: z.optional(z.string()),
    base64: z.optional(z.string()),
  }),
  z.object({
    ...stamped,
    kind: z.literal('stage'),
    name: z.string(),
    seconds: z.number(),
    'bytes-reused': z.optional(z.int()),
    'bytes-transferred': z.optional(z.int()),
    detail: z.optional(z.string()),
  }),
  z.object({ ...stamped, kind: z.literal('cache'), ...CacheAccount.shape }),
  z.object({
    ...stamped,
    kind: z.literal('state'),
    state: z.union([RunState, BuildState]),
    outcome: z.optional(Outcome),
    'exit-code': z.optional(z.int()),
    /** The build that a run waits for. Its events come before the run's next one. */
    build: z.optional(z.string()),
    /** Runs that wait before this one, where it is queued. */
    ahead: z.optional(z.int()),
    /** Why, where it ended badly: what is at fault and the fix. */
    message: z.optional(z.string()),
    hint: z.optional(z.string()),
  }),
  z.object({ ...stamped, kind: z.literal('progress'), what: z.string(), done: z.int(), total: z.int() }),
  z.object({ ...stamped, kind: z.literal('result'), value: z.json() }),
  z.object({ ...stamped, kind: z.literal('gap'), bytes: z.int(), stream: z.optional(z.string()) }),
  z.object({ ...stamped, kind: z.literal('note'), text: z.string() }),
])
export type Event = z.infer<typeof Event>
/** An event before it has a place in its stream. */
export type NewEvent = Event extends infer E
  ? E extends Event
    ? Omit<E, 'seq' | 'time'> & { time?: string }
    : never
  : never

/**
 * One line of `GET …/events` (NDJSON). A run's stream holds the events of the build that it waits for first, each with
 * `of: 'bld_…'`; `cursor` is what `?after=` resumes behind. A heartbeat is a line of its own.
 */
export const StreamLine = z.union([
  z.object({ cursor: z.string(), of: z.string(), event: Event }),
  z.object({ heartbeat: z.string() }),
  z.object({ end: z.literal(true) }),
  z.object({ error: z.object({ code: z.string(), message: z.string(), hint: z.string() }) }),
])
export type StreamLine = z.infer<typeof StreamLine>
