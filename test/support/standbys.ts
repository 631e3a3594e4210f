import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { tarArchive } from '../../common/tar.ts'
import { dockerEngine } from '../../service/engine/docker.ts'
import type { ContainerSpec, Engine } from '../../service/engine/engine.ts'
import type { ProcessOutcome } from '../../service/engine/frames.ts'
import {
  type LiveRun,
  prepareStandby,
  type Standby,
  type StandbySpec,
  type Task,
} from '../../service/engine/standby.ts'
import { baseImage, type PythonVersion } from './bases.ts'

export const PYTHONS: PythonVersion[] = ['3.9', '3.11', '3.13']
const MB = 1 << 20

/** A tar of text files, as a stream. */
export function codeTar(files: Record<string, string>): Readable {
  const entries = Object.entries(files).map(([path, text]) => ({
    path,
    type: 'file' as const,
    mode: 0o644,
    mtime: 0,
    content: Buffer.from(text),
  }))
  return Readable.from([tarArchive(entries)])
}

/** Docker, and everything that a test made on it; `clean` removes it by label. */
export function testEngine(name: string, engine: Engine = dockerEngine({ networkPrefix: 'mdwtest' })) {
  const label = `test-${name}-${process.pid}`
  return {
    engine,
    /** A container that runs a command. */
    async spec(command: string[], changes: Partial<ContainerSpec> = {}): Promise<ContainerSpec> {
      return {
        image: await baseImage('3.11'),
        command,
        env: {},
        labels: { 'run.meadow.node': label },
        ...{ memory: 256 * MB, cpus: 2, pids: 64, network: 'none', disk: 1024 * MB },
        ...changes,
      }
    },
    async standby(
      python: PythonVersion,
      files: Record<string, string> = {},
      changes: Partial<StandbySpec> = {},
    ): Promise<Standby> {
      const spec: StandbySpec = {
        image: await baseImage(python),
        python: '/usr/bin/python3',
        user: '1000:1000',
        node: label,
        preload: [],
        bundles: [async () => codeTar(files)],
        ...{ memory: 256 * MB, cpus: 2, pids: 64, network: 'none', disk: 1024 * MB },
        ...changes,
      }
      return prepareStandby(engine, spec, AbortSignal.timeout(60_000))
    },
    async clean(): Promise<void> {
      for (const { id } of await engine.find({ 'run.meadow.node': label })) await engine.container(id).remove()
      await engine.close()
    },
  }
}

/** What a run said, all of it. */
export interface Said {
  stdout: Buffer
  stderr: string
  outcome: ProcessOutcome
  result: unknown
  notes: string[]
  gaps: number
}

/** Follows a run to its outcome, and removes its container. */
export async function follow(run: LiveRun): Promise<Said> {
  const out: Buffer[] = []
  const err: Buffer[] = []
  const said = { notes: [] as string[], gaps: 0, result: undefined as unknown }
  let outcome: ProcessOutcome | undefined
  try {
    for await (const frame of run.frames) {
      if (frame.kind === 'stdout') out.push(frame.bytes)
      else if (frame.kind === 'stderr') err.push(frame.bytes)
      else if (frame.kind === 'note') said.notes.push(frame.text)
      else if (frame.kind === 'gap') said.gaps += frame.bytes
      else if (frame.kind === 'result') said.result = JSON.parse(frame.text)
      else if (frame.kind === 'outcome') outcome = frame.outcome
    }
  } finally {
    await run.destroy()
  }
  if (!outcome) throw new Error('the run ended without an outcome')
  return { ...said, outcome, stdout: Buffer.concat(out), stderr: Buffer.concat(err).toString() }
}

/** Runs one task in a new standby, to its end. */
export async function runTask(standby: Promise<Standby>, task: Task): Promise<Said> {
  return follow((await standby).run(task))
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
