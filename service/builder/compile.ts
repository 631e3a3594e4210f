import type { Blobs } from '../blobs/blobs.ts'
import type { BaseImage } from '../image/base.ts'
import type { FragmentEntry } from '../image/fragment.ts'
import { isCompiled } from '../image/pycache.ts'
import type { Compiled, CompileRequest, StepOptions } from './builder.ts'
import type { BuilderContext } from './context.ts'
import { Frames } from './frames.ts'
import { pythonSource } from './python-source.ts'
import { Step } from './step.ts'

/**
 * Python hashes strings by PYTHONHASHSEED, but where it heeds that variable (no `-I`) it heeds all others too:
 * so it begins isolated and goes on with this variable alone, without site packages.
 */
const LAUNCH =
  'import os,sys;os.execve(sys.executable,[sys.executable,"-s","-S","-B","-W","ignore","-c",*sys.argv[1:]],{"PYTHONHASHSEED":"0"})'
const PROGRAM = pythonSource('compile')

/** What the program answers for each artifact. */
interface Answer {
  key: string
  files?: [path: string, size: number][]
  skipped?: string[]
  /** The signal that its process died of, or its exit code. */
  crashed?: number
}

/** Compiles artifacts in the base that will run them. */
export async function* compile(
  context: BuilderContext,
  blobs: Blobs,
  base: BaseImage,
  requests: Iterable<CompileRequest> | AsyncIterable<CompileRequest>,
  options: StepOptions,
): AsyncGenerator<Compiled> {
  const processes = Math.max(1, Math.round(context.limits.cpus))
  await using step = await Step.open(
    context,
    {
      name: 'compiling',
      image: base.reference,
      command: ['python3', '-I', '-c', LAUNCH, PROGRAM, String(processes)],
      user: '0:0',
      network: 'none',
    },
    options,
  )
  await step.start()
  const sources = new Map<string, string[]>()
  const sent = send(step, blobs, requests, sources).catch((error) => {
    step.stop(error)
    return false
  })
  const frames = new Frames(step.stdout)
  for (;;) {
    const compiled = await next(frames, sources).catch((error) => step.blame(error))
    if (compiled === undefined) break
    yield compiled
  }
  await step.finish()
  if (!(await sent) || sources.size > 0) throw step.lost()
}

/** The next artifact that is done; undefined at the end. */
async function next(frames: Frames, sources: Map<string, string[]>): Promise<Compiled | undefined> {
  const answer = (await frames.line()) as Answer | undefined
  if (answer === undefined) return undefined
  const { key, files = [], crashed, skipped = [] } = answer
  const expected = sources.get(key) ?? []
  sources.delete(key)
  // A source that makes the compiler itself crash is left for the run to compile, or not to import at all.
  if (crashed !== undefined) return { key, files: [], skipped: expected }
  const read: Compiled['files'] = []
  for (const [path, size] of files) read.push({ path, content: await frames.bytes(size) })
  return { key, files: read, skipped }
}

/** Sends the sources of each request as they lie in its fragment: gzip members of tar entries. Whether all could be. */
async function send(
  step: Step,
  blobs: Blobs,
  requests: Iterable<CompileRequest> | AsyncIterable<CompileRequest>,
  sources: Map<string, string[]>,
): Promise<boolean> {
  for await (const { key, files } of requests) {
    const entries = files.entries.filter(isCompiled)
    sources.set(
      key,
      entries.map(({ path }) => path),
    )
    const size = entries.reduce((sum, { start, end }) => sum + end - start, 0)
    if (!(await step.write(`${JSON.stringify({ key, size })}\n`))) return false
    for (const range of joined(entries)) {
      for await (const chunk of await blobs.open(files.digest, range)) await step.write(chunk as Buffer)
    }
  }
  step.stdin.end()
  return true
}

/** Ranges of bytes, those that touch made one. */
function joined(entries: FragmentEntry[]): { start: number; end: number }[] {
  const ranges: { start: number; end: number }[] = []
  for (const { start, end } of entries) {
    const last = ranges.at(-1)
    if (last?.end === start) last.end = end
    else ranges.push({ start, end })
  }
  return ranges
}
