import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs'
import { homedir } from 'node:os'
import { basename, delimiter, dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'
import * as z from 'zod/mini'
import { MARKER, PROGRAM } from './local-interpreter-program.ts'
import { MirrorRefused } from './mirror-refused.ts'

/** Something installed in a local Python. */
const LocalPackage = z.object({
  name: z.string(),
  version: z.string(),
  installer: z.string(),
  /** The folder that it is installed in. */
  site: z.string(),
  /** Where it came from, if not from an index (PEP 610). */
  url: z.optional(z.string()),
  subdirectory: z.nullish(z.string()),
  vcs: z.optional(z.string()),
  commit: z.optional(z.string()),
  sha256: z.nullish(z.string()),
  editable: z.optional(z.boolean()),
  /** Of one that came from this machine's disk: what an import needs of it, inside `site`. */
  files: z.optional(z.array(z.string())),
  /** Of an editable one that an import hook finds: the paths of its packages by their names. */
  mapping: z.nullish(z.record(z.string(), z.string())),
  /** Of an editable one that another kind of import hook finds: how that is started. */
  hook: z.nullish(z.string()),
  /** Where only some platforms want it: how each package that wants it says so. */
  markers: z.optional(z.array(z.string())),
})
export type LocalPackage = z.infer<typeof LocalPackage>

/** What a local Python says of itself. */
const LocalInterpreter = z.object({
  executable: z.string(),
  /** `3.11` */
  version: z.string(),
  /** `linux`, `darwin`, `win32` */
  platform: z.string(),
  prefix: z.string(),
  /** Whether it is a virtual environment's. */
  virtual: z.boolean(),
  /** Without what is the interpreter's own; real paths, in order. Some are behind the standard library. */
  sysPath: z.array(z.object({ path: z.string(), behind: z.boolean() })),
  /** Package indexes, as pip and uv are set up: the main one, and extra ones. */
  indexes: z.object({ main: z.nullable(z.string()), extra: z.array(z.string()) }),
  packages: z.array(LocalPackage),
})
export type LocalInterpreter = z.infer<typeof LocalInterpreter> & {
  /** Whether actions/setup-python put it on PATH, for this job: pip installs in it without a virtual environment. */
  setUp?: boolean
}

/** Large environments on cold disks take seconds. */
const TIMEOUT = 120_000
const MOST_OUTPUT = 256 * 1024 * 1024

export interface LocalPlace {
  /** The working directory: it is on `sys.path`. */
  folder: string
  /** Where a project's own `.venv` may be. */
  project: string
  env: NodeJS.ProcessEnv
}

/**
 * Asks a Python on this machine what it is and has. Of those on PATH, the first that can be asked.
 * @param named `auto` or `local` for the active one, `local-conda:NAME`, `local-python:PATH`
 * @param say is told of those on PATH that can't be asked
 * @returns undefined where none is active and none was named
 * @throws {MirrorRefused} where what was named or is active is not there or can't be asked
 */
export async function askInterpreter(
  named: string,
  place: LocalPlace,
  say: (line: string) => void,
  signal?: AbortSignal,
): Promise<LocalInterpreter | undefined> {
  if (named.startsWith('local-conda:'))
    return await ask(inFolder(condaPrefix(named.slice(12), place.env)), place, signal)
  if (named.startsWith('local-python:')) return await ask(pythonAt(named.slice(13)), place, signal)
  const active = activePython(place)
  if (active !== undefined) return await ask(active, place, signal)
  for (const python of pythonsOnPath(place.env)) {
    try {
      return { ...(await ask(python, place, signal)), setUp: isSetUp(python, place.env) }
    } catch (error) {
      if (!(error instanceof MirrorRefused)) throw error
      say(`${error.message}; it is passed over.`)
    }
  }
  return undefined
}

async function ask(python: string, { folder, env }: LocalPlace, signal?: AbortSignal): Promise<LocalInterpreter> {
  // The program goes by stdin: so `sys.path` begins with the working directory, as for people who type `python`.
  const asked = promisify(execFile)(python, ['-'], {
    ...{ cwd: folder, timeout: TIMEOUT, maxBuffer: MOST_OUTPUT, windowsHide: true },
    env: { ...env, PYTHONIOENCODING: 'utf-8', PYTHONDONTWRITEBYTECODE: '1' },
    ...(signal && { signal }),
  })
  asked.child.stdin?.on('error', () => {}).end(PROGRAM)
  try {
    const { stdout } = await asked
    const line = stdout.split('\n').find((each) => each.startsWith(MARKER)) ?? MARKER
    return LocalInterpreter.parse(JSON.parse(line.slice(MARKER.length)))
  } catch (error) {
    signal?.throwIfAborted()
    const { stderr = '', message } = error as Error & { stderr?: string }
    const why = stderr.trim().split('\n').slice(-3).join('\n') || message
    throw new MirrorRefused(
      `interpreter: ${python} can't be asked what it has: ${why}`,
      'Python 3.8 or later is needed. Name another one with "local-python:PATH", or an environment file.',
    )
  }
}

/** The Python of the active environment, or of the project's own. */
function activePython({ project, env }: LocalPlace): string | undefined {
  const prefixes = [env.VIRTUAL_ENV, env.CONDA_PREFIX, join(project, '.venv')]
  return prefixes.flatMap((prefix) => (prefix ? (pythonIn(prefix) ?? []) : []))[0]
}

/** What a terminal here would run comes first. It may be a shim without anything behind it. */
function pythonsOnPath(env: NodeJS.ProcessEnv): string[] {
  const folders = new Set((env.PATH ?? '').split(delimiter).filter(Boolean))
  const names = process.platform === 'win32' ? ['python.exe'] : ['python', 'python3']
  return names.flatMap((name) => [...folders].map((folder) => join(folder, name))).filter((path) => existsSync(path))
}

/** The variable is what actions/setup-python exports. Its programs may be links: where they lie counts. */
function isSetUp(python: string, { pythonLocation }: NodeJS.ProcessEnv): boolean {
  if (!pythonLocation || !existsSync(pythonLocation)) return false
  const inner = relative(realpathSync(pythonLocation), realpathSync(dirname(python)))
  return ['', 'bin', 'Scripts'].includes(inner)
}

function pythonIn(prefix: string): string | undefined {
  return ['bin/python', 'bin/python3', 'Scripts/python.exe', 'python.exe']
    .map((name) => join(prefix, name))
    .find((path) => existsSync(path))
}

function inFolder(prefix: string): string {
  const found = pythonIn(prefix)
  if (found !== undefined) return found
  throw new MirrorRefused(`interpreter: there is no python in ${prefix}`, 'Install python into that environment.')
}

function pythonAt(path: string): string {
  if (existsSync(path)) return pythonIn(path) ?? path
  throw new MirrorRefused(`interpreter: there is no ${path}`, 'Give the path of a Python, or of a virtual environment.')
}

/** The folder of a conda environment, by its name or path. */
function condaPrefix(name: string, env: NodeJS.ProcessEnv): string {
  if (existsSync(join(name, 'conda-meta'))) return name
  const known = condaPrefixes(env)
  const root = env.CONDA_EXE ? join(env.CONDA_EXE, '../..') : undefined
  const found = name === 'base' && root ? root : known.find((prefix) => basename(prefix) === name)
  if (found !== undefined && existsSync(join(found, 'conda-meta'))) return found
  throw new MirrorRefused(
    `interpreter: no conda environment ${name} was found`,
    `Known are ${known.map((prefix) => basename(prefix)).join(', ') || 'none'}; its path can be given too.`,
  )
}

/** Conda's own list of all environments, and those beside the active one. */
function condaPrefixes(env: NodeJS.ProcessEnv): string[] {
  const list = join(homedir(), '.conda', 'environments.txt')
  const listed = existsSync(list) ? readFileSync(list, 'utf8').split(/\r?\n/).filter(Boolean) : []
  const beside = [env.CONDA_PREFIX, env.CONDA_EXE && join(env.CONDA_EXE, '../..'), env.MAMBA_ROOT_PREFIX]
  const folders = beside.flatMap((prefix) => (prefix ? [join(prefix, 'envs'), join(prefix, '..')] : []))
  return [...new Set([...listed, ...folders.flatMap(subfolders)])].filter((prefix) =>
    existsSync(join(prefix, 'conda-meta')),
  )
}

function subfolders(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : []
}
