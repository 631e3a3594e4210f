import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parse } from 'yaml'
import { COMMAND, type Commit, type Sample } from './sample.ts'
import type { ServiceProcess } from './service.ts'

/** How the step of the workflow ended. */
export interface ActionResult {
  exitCode: number
  /** The outputs that the next steps of the workflow would see. */
  outputs: Record<string, string>
  /** Milliseconds since 1970 at which the runner started it. */
  begun: number
  /** From then until its last process was gone. */
  seconds: number
}

const DIST = join(import.meta.dirname, '../dist')
const MINUTES = 10

/**
 * Runs the bundled Action as a runner runs `- uses: meadow/run`, with the sample's checkout as its workspace.
 * @param echo gets what the step prints
 */
export async function runAction(
  service: ServiceProcess,
  sample: Sample,
  commit: Commit,
  echo: NodeJS.WritableStream,
): Promise<ActionResult> {
  const temp = await mkdtemp(join(sample.host, 'runner-'))
  const files = await runnerFiles(temp, sample, commit)
  const env = { ...machine(), ...github(temp, sample, commit), ...files, ...(await inputs(service, sample)) }
  const begun = Date.now()
  const main = await runScript('main.cjs', env, sample.folder, echo)
  const seconds = (Date.now() - begun) / 1000
  const state = await readValues(files.GITHUB_STATE)
  const prefixed = Object.fromEntries(Object.entries(state).map(([name, value]) => [`STATE_${name}`, value]))
  const post = await runScript('post.cjs', { ...env, ...prefixed }, sample.folder, echo)
  return { exitCode: main || post, outputs: await readValues(files.GITHUB_OUTPUT), begun, seconds }
}

/** The inputs of the step: what `with:` gives, and the defaults of action.yml for the rest. */
async function inputs(service: ServiceProcess, sample: Sample): Promise<Record<string, string>> {
  const { inputs } = parse(await readFile(join(DIST, '../action.yml'), 'utf8')) as ActionFile
  const given: Record<string, string> = { 'service-url': service.url, token: service.token, command: COMMAND }
  return Object.fromEntries(
    Object.entries(inputs).map(([name, { default: fallback = '' }]) => [
      `INPUT_${name.toUpperCase()}`,
      given[name] ?? fallback.replace(/^\$\{\{ github\.repository \}\}$/, sample.name),
    ]),
  )
}

interface ActionFile {
  inputs: Record<string, { default?: string }>
}

/** What a runner tells a step about itself and the event (GitHub, "Variables"). */
function github(temp: string, sample: Sample, commit: Commit): Record<string, string> {
  return {
    GITHUB_ACTIONS: 'true',
    GITHUB_ACTION: 'meadow-run',
    GITHUB_EVENT_NAME: 'push',
    GITHUB_REF: 'refs/heads/main',
    GITHUB_REPOSITORY: sample.name,
    GITHUB_RUN_ATTEMPT: '1',
    GITHUB_RUN_ID: '1',
    GITHUB_SERVER_URL: 'https://github.com',
    GITHUB_SHA: commit.id,
    GITHUB_WORKSPACE: sample.folder,
    RUNNER_OS: 'Linux',
    RUNNER_TEMP: temp,
  }
}

/** Files through which a step and its runner talk. */
async function runnerFiles(temp: string, sample: Sample, commit: Commit) {
  const file = (name: string) => join(temp, name)
  const files = {
    GITHUB_ENV: file('env'),
    GITHUB_EVENT_PATH: file('event.json'),
    GITHUB_OUTPUT: file('output'),
    GITHUB_PATH: file('path'),
    GITHUB_STATE: file('state'),
    GITHUB_STEP_SUMMARY: file('summary.md'),
  }
  await mkdir(temp, { recursive: true })
  for (const path of Object.values(files)) await writeFile(path, '')
  await writeFile(files.GITHUB_EVENT_PATH, JSON.stringify({ after: commit.id, repository: { full_name: sample.name } }))
  return files
}

/** Of this machine's environment, what any program needs. */
function machine(): Record<string, string> {
  const names = ['PATH', 'HOME', 'TMPDIR', 'NODE_EXTRA_CA_CERTS']
  return Object.fromEntries(names.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])))
}

async function runScript(
  script: string,
  env: Record<string, string>,
  cwd: string,
  echo: NodeJS.WritableStream,
): Promise<number> {
  const child = spawn(process.execPath, [join(DIST, script)], {
    cwd,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: MINUTES * 60_000,
  })
  for (const stream of [child.stdout, child.stderr])
    createInterface(stream).on('line', (line) => {
      const shown = asRunnerShows(line)
      if (shown !== undefined) echo.write(`  | ${shown}\n`)
    })
  return await new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve(code ?? 1))
  })
}

/** A runner follows the commands that a step prints (`::add-mask::…`) instead of showing them; errors it shows. */
function asRunnerShows(line: string): string | undefined {
  const error = /^::(error|warning)(?: [^:]*)?::(.*)$/.exec(line)
  if (error) return `${error[1]}: ${error[2]?.replaceAll('%0A', '\n  |   ').replaceAll('%25', '%')}`
  return line.startsWith('::') ? undefined : line
}

/** Reads what a step wrote for its runner: `name=value` lines, and `name<<DELIMITER` blocks. */
async function readValues(file: string): Promise<Record<string, string>> {
  const text = await readFile(file, 'utf8')
  const values: Record<string, string> = {}
  for (const [, name = '', , block, value = ''] of text.matchAll(/^([\w-]+)(?:<<(\S+)\n([\s\S]*?)\n\2|=(.*))$/gmu))
    values[name] = block ?? value
  return values
}
