import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { CommandFailed, runCommand } from '../machine/command.ts'
import { ensureDocker, type RunningDocker } from '../machine/docker.ts'
import { ensurePackages, SetupImpossible } from '../machine/packages.ts'
import { baseImage } from './support/bases.ts'

/**
 * All checks and all tests: `npm test`, and so `npm cit`. Sets up what the tests need and the machine lacks, and ends
 * what it started. Arguments are passed on to the runner: `npm test -- test/image/*.test.ts`.
 */

const TEST_MINUTES = 30
/** Two test files at a time: each may have containers of its own, and the figures are made for two cores. */
const AT_ONCE = 2
const seconds: string[] = []

const interrupted = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const)
  process.on(name, () => interrupted.abort(new CommandFailed(`interrupted by ${name}`)))

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof SetupImpossible || error instanceof CommandFailed)) throw error
  console.error(error.message)
  process.exitCode = 1
}

async function main(files: string[]): Promise<number> {
  checkNode()
  if (files.length === 0) {
    await phase('types', () => check('tsc', 'typescript/bin/tsc', ['--noEmit']))
    await phase('lint', () => check('biome', '@biomejs/biome/bin/biome', ['ci', '--colors=off', '.']))
    await phase('dist', () => check('the bundles in dist/', undefined, ['action/bundle.ts', '--check']))
  }
  const docker = await phase('docker', setUp)
  try {
    await phase('bases', () => Promise.all([baseImage('3.9'), baseImage('3.11'), baseImage('3.13')]))
    say(`Seconds: ${seconds.join(', ')}`)
    return await runTests(files)
  } finally {
    await docker.stop()
  }
}

function checkNode(): void {
  if (Number(process.versions.node.split('.')[0]) >= 24) return
  throw new SetupImpossible(
    `This is Node ${process.version}; Node 24 or later is needed. "npm ci" brings it: run "npm cit" (or "npm test").`,
  )
}

async function setUp(): Promise<RunningDocker> {
  await ensurePackages(['git', 'python3', 'debootstrap', 'skopeo', 'docker-registry', 'iptables'], { say })
  return await ensureDocker({ say })
}

async function phase<T>(name: string, work: () => Promise<T>): Promise<T> {
  interrupted.signal.throwIfAborted()
  const start = performance.now()
  try {
    return await work()
  } finally {
    seconds.push(`${name} ${((performance.now() - start) / 1000).toFixed(1)}`)
  }
}

async function check(what: string, program: string | undefined, args: string[]): Promise<void> {
  say(`Checking with ${what} …`)
  const script = program ? [join(import.meta.dirname, '../node_modules', program)] : []
  const options = { timeout: 5 * 60_000, onLine: say, signal: interrupted.signal }
  await runCommand(process.execPath, [...script, ...args], options)
}

/** The runner's own words, its summary last, go straight to the terminal. */
async function runTests(files: string[]): Promise<number> {
  const which = files.length > 0 ? files : ['test/**/*.test.ts']
  const runner = spawn(process.execPath, ['--test', `--test-concurrency=${AT_ONCE}`, ...which], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  const ended = new Promise<number>((resolve, reject) => {
    runner.once('error', reject)
    runner.once('exit', (code) => resolve(code ?? 1))
  })
  const over = new AbortController()
  interrupted.signal.addEventListener('abort', () => runner.kill('SIGTERM'))
  const late = sleep(TEST_MINUTES * 60_000, undefined, { signal: over.signal }).then(
    () => {
      say(`The tests took more than ${TEST_MINUTES} minutes.`)
      runner.kill('SIGKILL')
    },
    () => {},
  )
  const code = await ended
  over.abort()
  await late
  return interrupted.signal.aborted ? 130 : code
}

function say(line: string): void {
  console.log(line)
}
