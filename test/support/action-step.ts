import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'

/** What a step of a workflow came to. */
export interface StepResult {
  exitCode: number | null
  log: Buffer
  outputs: Record<string, string>
  /** What it saved for its post step. */
  state: Record<string, string>
  summary: string
}

export interface Step {
  child: ChildProcess
  /** What it has printed so far. */
  printed(): string
  result: Promise<StepResult>
}

const DIST = join(import.meta.dirname, '../../dist')

/**
 * Runs a bundle of dist/ as a runner would: inputs, files for outputs, state and summary, nothing else of this process.
 * @param folder for those files
 * @param env further variables (`GITHUB_…`, `STATE_…`)
 */
export async function startStep(
  bundle: 'main' | 'post',
  folder: string,
  inputs: Record<string, string>,
  env: Record<string, string> = {},
): Promise<Step> {
  const files = Object.fromEntries(['OUTPUT', 'STATE', 'STEP_SUMMARY'].map((name) => [name, join(folder, name)]))
  for (const file of Object.values(files)) await writeFile(file, '')
  const child = spawn(process.execPath, [join(DIST, `${bundle}.cjs`)], {
    cwd: folder,
    env: {
      PATH: process.env.PATH,
      // Settings of the machine's own pip are no runner's.
      PIP_CONFIG_FILE: '/dev/null',
      RUNNER_TEMP: folder,
      ...Object.fromEntries(Object.entries(files).map(([name, file]) => [`GITHUB_${name}`, file])),
      ...Object.fromEntries(Object.entries(inputs).map(([name, value]) => [`INPUT_${name.toUpperCase()}`, value])),
      ...env,
    },
  })
  const chunks: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
  const ended = once(child, 'close')
  const result = async () => {
    const stderr = await buffer(child.stderr)
    const [exitCode] = (await ended) as [number | null]
    if (stderr.length > 0) throw new Error(`${bundle}.cjs printed to stderr: ${stderr}`)
    const [outputs = '', state = '', summary = ''] = await Promise.all(
      Object.values(files).map((file) => readFile(file, 'utf8')),
    )
    return { exitCode, log: Buffer.concat(chunks), outputs: fields(outputs), state: fields(state), summary }
  }
  return { child, printed: () => Buffer.concat(chunks).toString('latin1'), result: result() }
}

/** `name<<delimiter`, lines, `delimiter`. */
function fields(text: string): Record<string, string> {
  const found = text.matchAll(/^(.+?)<<(\S+)\n([\s\S]*?)\n\2$/gm)
  return Object.fromEntries([...found].map(([, name, , value]) => [name, value]))
}
