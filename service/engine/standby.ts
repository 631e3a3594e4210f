import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import type { Container, ContainerSpec, Engine } from './engine.ts'
import { FrameDecoder } from './frames.ts'
import { LAUNCHER_PATH, launcherTar, WORKSPACE, workspace } from './launcher-files.ts'
import { LauncherGone, LauncherLink, NeverBegan } from './launcher-link.ts'
import { type Acknowledge, type LiveRun, liveRun } from './live-run.ts'
import { ownedTar, parseOwner } from './tar-owner.ts'

export { launcherVersion, WORKSPACE, workspace } from './launcher-files.ts'
export { LauncherGone, NeverBegan } from './launcher-link.ts'
export type { Acknowledge, LiveRun } from './live-run.ts'

/** The label of every container that a node makes for runs; its value is the node's id. */
export const NODE_LABEL = 'run.meadow.node'
/** Digest of the image's manifest, as runs and builds say it: nodes may know the image by another. */
export const IMAGE_LABEL = 'run.meadow.image'
const IN_WORKSPACE: SysPath = { first: [WORKSPACE], behind: [] }
const NOTHING: SysPath = { first: [], behind: [] }
const PRELOAD_LIMIT = 60_000
/** Beyond preloading: the interpreter's own start, and a machine under load. */
const READY_LIMIT = 60_000
const RESUME_LIMIT = 10_000

/** A container that waits for a run. Nothing in here may be secret. */
export interface StandbySpec extends Pick<ContainerSpec, 'image' | 'memory' | 'cpus' | 'pids' | 'network' | 'disk'> {
  /** The node that makes it, for its label. */
  node: string
  /** Further labels. */
  labels?: Record<string, string>
  /** The image's Python: a path, or a name that its PATH leads to. */
  python: string
  /** Who the image's processes run as, in numbers: `uid:gid`. */
  user: string
  /** Added to the image's own and to the defaults. */
  env?: Record<string, string>
  /** Modules to import beforehand. */
  preload: string[]
  /** Where they are looked for beside the environment. Default: first in `/workspace` */
  sysPath?: SysPath | undefined
  /** Opens plain tars of the code, entries relative to its root: for `/workspace`, `/workspace.1` and so on. */
  bundles: (() => Promise<Readable>)[]
  /** How the launcher counts, in milliseconds and bytes; the defaults are right, tests are shorter. */
  launcher?: Partial<LauncherLimits>
}

export interface LauncherLimits {
  /** It ends when nobody was attached for so long (ms). */
  unattached: number
  /** Nobody is attached when nothing was heard for so long (ms). */
  silence: number
  /** Preloading is given up after so long (ms). */
  preload: number
  /** Bytes that may be under way while somebody is attached. */
  window: number
  /** Bytes that are kept while nobody is. */
  spool: number
}

/** What is put on Python's path. */
export interface SysPath {
  /** Before all else, for a command by `PYTHONPATH`. */
  first: string[]
  /** Behind the standard library, before what is installed. */
  behind: string[]
}

/** What a standby becomes. */
export type Task = (
  | { argv: string[] }
  /** A shell line: `bash -eo pipefail -c` where the image has bash, else `/bin/sh -c`. */
  | { command: string }
  /** `package.module:function`; a list is positional arguments, an object keyword arguments. */
  | { function: string; args?: unknown[] | Record<string, unknown> }
) & {
  env?: Record<string, string>
  /** In the environment of the user's process, and nowhere else. */
  secrets?: Record<string, string>
  /** Default: `/workspace` */
  cwd?: string
  /** Default: first `/workspace` for a function, else nothing. */
  sysPath?: SysPath
  /** Milliseconds that it may take; the launcher sees to it. */
  timeout?: number
}

/** A container whose launcher waits for a task. */
export interface Standby {
  readonly containerId: string
  /** The version of its Python: `3.11.2` */
  readonly python: string
  /** Resolves when it died or the connection was lost: it is of no more use. */
  readonly gone: Promise<void>
  /** Hands it the one task that it will ever have. */
  run(task: Task, options?: { acknowledge?: Acknowledge }): LiveRun
  /** Removes the container. */
  destroy(): Promise<void>
}

/**
 * Makes a container, puts the launcher and the code in, and waits until the launcher is ready. On failure nothing is left.
 * @throws {LauncherGone} when the interpreter does not start; {EngineUnavailable | EngineRefused | DiskFull} by the engine
 */
export async function prepareStandby(engine: Engine, spec: StandbySpec, signal: AbortSignal): Promise<Standby> {
  const limits = { ...DEFAULTS, ...spec.launcher }
  let container: Container | undefined
  let link: LauncherLink | undefined
  try {
    const owner = parseOwner(spec.user)
    signal.throwIfAborted()
    container = await engine.create(containerSpec(spec, limits))
    await container.put(Readable.from([await launcherTar(owner, spec.bundles.length)]), '/')
    for (const [number, open] of spec.bundles.entries()) {
      await using bundle = await open()
      await container.put(Readable.from(ownedTar(bundle, owner)), workspace(number))
    }
    signal.throwIfAborted()
    link = new LauncherLink(container, await container.attach(), new FrameDecoder())
    await container.start()
    const { python } = await ready(link, limits.preload + READY_LIMIT, signal)
    return standby(container, link, python)
  } catch (error) {
    link?.close()
    // Why it failed counts more; what can't be removed now is a stray that its label leads to.
    await container?.remove().catch(() => {})
    throw error
  }
}

/**
 * Takes up a run that an earlier process began.
 * @param from the `end` of the last frame that is stored
 * @throws {NeverBegan} when it waits for its task; {LauncherGone} when its container has ended; {ContainerMissing} when it is gone
 */
export async function reattach(
  engine: Engine,
  containerId: string,
  from: number,
  signal: AbortSignal,
  acknowledge: Acknowledge = 'taken',
): Promise<LiveRun> {
  const container = engine.container(containerId)
  const marker = randomBytes(16).toString('hex')
  const link = new LauncherLink(container, await container.attach(), new FrameDecoder(from, marker))
  const attached = new AbortController()
  try {
    link.send({ resume: { offset: from, marker } })
    // Docker attaches to containers that have ended too, and waits for them to be started again.
    const ended = container.wait(attached.signal).then((exit) => {
      throw new LauncherGone(`container ${containerId.slice(0, 12)} has ended (exit code ${exit.exitCode})`, exit)
    })
    const { state } = await Promise.race([ready(link, RESUME_LIMIT, signal), ended])
    if (state === 'waiting') throw new NeverBegan(`container ${containerId.slice(0, 12)} never had a task`)
    return liveRun(container, link, acknowledge)
  } catch (error) {
    link.close()
    throw error
  } finally {
    attached.abort()
  }
}

const DEFAULTS: LauncherLimits = {
  unattached: 60_000,
  silence: 10_000,
  preload: PRELOAD_LIMIT,
  window: 4 << 20,
  spool: 64 << 20,
}

function containerSpec(spec: StandbySpec, limits: LauncherLimits): ContainerSpec {
  const options = {
    sysPath: spec.sysPath ?? IN_WORKSPACE,
    preload: spec.preload,
    unattached: limits.unattached / 1000,
    silence: limits.silence / 1000,
    preloadLimit: limits.preload / 1000,
    window: limits.window,
    spool: limits.spool,
  }
  const { image, memory, cpus, pids, network, disk } = spec
  return {
    ...{ image, memory, cpus, pids, network, disk },
    command: [spec.python, '-I', '-u', LAUNCHER_PATH, JSON.stringify(options)],
    env: { LANG: 'C.UTF-8', PYTHONUNBUFFERED: '1', ...spec.env },
    user: spec.user,
    workdir: WORKSPACE,
    labels: { ...spec.labels, [NODE_LABEL]: spec.node },
    keepStdin: true,
  }
}

function standby(container: Container, link: LauncherLink, python: string): Standby {
  let used = false
  return {
    containerId: container.id,
    python,
    gone: link.gone(),
    run(task, { acknowledge = 'taken' } = {}) {
      if (used) throw new Error(`container ${container.id.slice(0, 12)} has had its task`)
      used = true
      link.send({ task: wireTask(task) })
      return liveRun(container, link, acknowledge)
    },
    async destroy() {
      link.close()
      await container.remove()
    },
  }
}

function wireTask(task: Task): object {
  const { timeout, cwd = WORKSPACE, sysPath = 'function' in task ? IN_WORKSPACE : NOTHING, ...rest } = task
  return { ...rest, cwd, sysPath, timeout: timeout === undefined ? null : timeout / 1000 }
}

/** Waits for the launcher's first frame. */
async function ready(link: LauncherLink, limit: number, signal: AbortSignal) {
  const { promise, reject } = Promise.withResolvers<never>()
  const either = AbortSignal.any([signal, AbortSignal.timeout(limit)])
  const abort = () =>
    reject(signal.aborted ? signal.reason : new LauncherGone(`no launcher is ready after ${limit} ms`))
  either.addEventListener('abort', abort, { once: true })
  if (either.aborted) abort()
  const frame = await Promise.race([link.next(), promise])
  if (frame.kind !== 'ready') throw new LauncherGone(`the launcher began with ${frame.kind} instead of ready`)
  return frame
}
