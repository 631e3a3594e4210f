import type { Blobs } from '../blobs/blobs.ts'
import { addRun, type Part } from '../image/layer-plan.ts'
import { isCompiled } from '../image/pycache.ts'
import type { BuilderContext } from './context.ts'
import { type KeepOptions, type KeptStep, type KeptStepOptions, KeptSteps, openKept } from './kept-steps.ts'
import type { ResolveOptions } from './options.ts'
import { pythonSource } from './python-source.ts'
import type { Compiled, CompileRequest, Compiling } from './requests.ts'
import type { Step } from './step.ts'

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

/** Python of bases, in containers that are kept ready: each artifact gets a process of its own there. */
export class Compilers {
  readonly #blobs: Blobs
  readonly #steps: KeptSteps<KeptStep>

  constructor(context: BuilderContext, blobs: Blobs, options: KeepOptions) {
    this.#blobs = blobs
    const processes = Math.max(1, Math.round(context.limits.cpus))
    const command = ['python3', '-I', '-c', LAUNCH, PROGRAM, String(processes)]
    const spec = { name: 'compiling', command, user: '0:0', network: 'none' as const }
    const open = ({ compiling, ...step }: KeptStepOptions) => {
      const image = async () => (await compiling?.image())?.reference ?? ''
      return openKept(context, image, spec, step)
    }
    this.#steps = new KeptSteps(open, options)
  }

  /**
   * Compiles artifacts by the Python that will run them.
   * @param take gets each as it is ready
   */
  async compile(
    compiling: Compiling,
    requests: Iterable<CompileRequest> | AsyncIterable<CompileRequest>,
    options: ResolveOptions,
    take: (compiled: Compiled) => Promise<void>,
  ): Promise<void> {
    await this.#steps.use({ ...options, compiling }, async (kept) => {
      const sources = new Map<string, string[]>()
      const sent = send(kept.step, this.#blobs, requests, sources).catch((error) => {
        kept.step.stop(error)
        return false
      })
      for (;;) {
        const compiled = await next(kept, sources)
        if (compiled === 'end') break
        await take(compiled)
      }
      if (!(await sent) || sources.size > 0) throw kept.step.lost()
    })
  }

  /** Removes the containers that are kept ready. */
  async close(): Promise<void> {
    await this.#steps.close()
  }
}

/** The next artifact that is done. */
async function next({ step, frames }: KeptStep, sources: Map<string, string[]>): Promise<Compiled | 'end'> {
  const answer = (await frames.line()) as Answer | { end: true } | undefined
  if (answer === undefined) {
    await step.finish()
    throw step.lost()
  }
  if ('end' in answer) return 'end'
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
    const sent: Part = { fragment: files, runs: [] }
    for (const entry of entries) addRun(sent, entry)
    for await (const chunk of blobs.parts(files.digest, sent.runs)) await step.write(chunk)
  }
  return await step.write(`${JSON.stringify({ end: true })}\n`)
}
