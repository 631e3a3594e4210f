import type { BuildState, Outcome, RunState, Verdict } from '../../common/events.ts'
import type { Digest } from '../blobs/blobs.ts'
import type { Domain } from '../policy/domain.ts'

/** Integers are milliseconds since 1970 where they are times, booleans 0 or 1, JSON is text. */
export interface StateDatabase {
  repositories: RepositoryRow
  deliveries: DeliveryRow
  pushes: PushRow
  jobs: JobRow
  bundles: BundleRow
  grants: GrantRow
  environments: EnvironmentRow
  locks: LockRow
  fragments: FragmentRow
  layers: LayerRow
  images: ImageRow
  leftovers: LeftoverRow
  probes: ProbeRow
  builds: BuildRow
  runs: RunRow
  tokens: TokenRow
  nodes: NodeRow
  standbys: StandbyRow
  manifests: ManifestRow
  tags: TagRow
}

/** Identity is `id`; GitHub's own id is learned from signed deliveries; the name is a label that may move. */
export interface RepositoryRow {
  id: string
  github_id: number | null
  name: string | null
  created: number
}

export interface DeliveryRow {
  id: string
  body_sha256: string
  event: string
  /** What was done: `prebuild`, `ping`, `ignored: …` */
  did: string
  received: number
}

/** A signed push of the repository named this commit. */
export interface PushRow {
  repository: string
  commit_id: string
  ref: string
  received: number
}

export type JobKind = 'prebuild' | 'build' | 'run'
export type JobState = 'queued' | 'running' | 'done' | 'failed' | 'superseded'

export interface JobRow {
  id: string
  kind: JobKind
  /** At most one job of a kind and key is queued or running. */
  key: string
  /** A newer job of the same group takes the place of one still queued. */
  supersedes: string | null
  payload: string
  state: JobState
  run_after: number
  lease_owner: string | null
  lease_until: number | null
  /** Grows by one at every claim; who holds an older one can't commit. */
  fence: number
  attempts: number
  error: string | null
  created: number
  finished: number | null
}

export interface BundleRow {
  domain: Domain
  /** A commit; or the name of what was made beside its own bundle, which begins with it (`source/variants`). */
  commit_id: string
  digest: Digest
  size: number
  created: number
}

/** A blob that this domain uploaded or was shown, and so may name. */
export interface GrantRow {
  domain: Domain
  digest: Digest
  created: number
}

/** Which build a commit and the way its interpreter was asked for lead to. */
export interface EnvironmentRow {
  domain: Domain
  commit_id: string
  /** Canonical JSON of the interpreter request. */
  request: string
  build: string
}

export interface LockRow {
  domain: Domain
  key: string
  /** Blob: the Lock as JSON. */
  lock: Digest
  created: number
}

export interface FragmentRow {
  /** `global` or a domain */
  domain: Domain
  key: string
  /** Blob: the Fragment (its manifest) as JSON. */
  manifest: Digest
  created: number
}

export interface LayerRow {
  /** sha256 over what it is made of. */
  key: string
  digest: Digest
  diff_id: Digest
  /** Bytes, compressed and as a tar. */
  size: number
  tar_size: number
}

export interface ImageRow {
  domain: Domain
  key: string
  /** Of the manifest in the embedded registry. */
  digest: Digest
  /** Of the manifest by which this node pulls it: the same image, its layers as plain tars. */
  plain: Digest
  /** Blob: the Layout as JSON, for deltas on it. */
  layout: Digest
  /** Blob: the Lock as JSON, for the diff to the next one. */
  lock: Digest
  /** What a delta may be made on: sha256 of repository, environment, base and apt key. */
  lineage: string
  /** What it is compared with where it can't be made on it: sha256 of repository, request and Python. */
  kin: string
  /** Its branch; empty where the commit was not pushed to one that we know. */
  branch: string
  /** `uid:gid` of its processes. */
  user: string
  created: number
  /** When a build or run last wanted it, to the hour. */
  used: number
}

/** The bytes of a layer that was forgotten: removed a while later, if nothing has them by then. */
export interface LeftoverRow {
  digest: Digest
  since: number
}

export interface ProbeRow {
  base: Digest
  probe: string
}

export interface BuildRow {
  id: string
  domain: Domain
  /** At most one build of a domain and key is queued or building. */
  key: string
  state: BuildState
  /** JSON: what `jobs/build` needs. */
  request: string
  message: string | null
  hint: string | null
  /** CacheAccount as JSON. */
  cache: string | null
  image: Digest | null
  created: number
  finished: number | null
}

export interface RunRow {
  id: string
  domain: Domain
  repository: string
  commit_id: string
  /** RunRequest as JSON. */
  request: string
  state: RunState
  outcome: Outcome | null
  exit_code: number | null
  message: string | null
  hint: string | null
  build: string | null
  image: Digest | null
  cache: Verdict | null
  node: string | null
  container: string | null
  /** 1 once somebody asked for its end. */
  cancel: number
  created: number
  started: number | null
  finished: number | null
  /** The user's process began this long after the request. */
  ms_to_start: number | null
  /** JSON: what a function returned. */
  result: string | null
}

export interface TokenRow {
  /** sha256 of the token: the token itself is never stored. */
  hash: string
  repository: string
  name: string
  workflow_run: string | null
  expires: number
}

export interface NodeRow {
  id: string
  heartbeat: number
  cpus: number
  memory: number
}

export interface StandbyRow {
  container: string
  node: string
  key: string
  state: 'preparing' | 'ready' | 'used'
  memory: number
  created: number
  expires: number
}

export interface ManifestRow {
  repository: string
  digest: Digest
  media_type: string
}

export interface TagRow {
  repository: string
  tag: string
  digest: Digest
}

/** `events.db`: log bytes may be lost in a power cut, state never. */
export interface EventsDatabase {
  events: EventRow
}

export interface EventRow {
  /** `bld_…` or `run_…` */
  stream: string
  seq: number
  /** The Event as JSON, without seq. */
  event: string
}
