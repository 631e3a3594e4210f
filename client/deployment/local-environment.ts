import { existsSync, readdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join, posix } from 'node:path'
import { CONDA_PLATFORMS, condaClosure, forLinux, onPlatform } from '../../common/conda-files.ts'
import { detect, type EnvironmentFile, formatOf, formatsOn, NotDetected } from '../../common/detect.ts'
import { normalizeName } from '../../common/package-name.ts'
import { digestOf } from '../../common/piece-index.ts'
import { requirementsClosure } from '../../common/requirements-closure.ts'
import { condaEnvironment } from './conda-environment.ts'
import type { LooseFile } from './environment-files.ts'
import { freeze } from './freeze.ts'
import type { LocalInterpreter, LocalPackage } from './local-interpreter.ts'
import { MirrorRefused } from './mirror-refused.ts'

/** The environment that goes with mirrored code. */
export interface LocalEnvironment {
  /** What the service is asked for: the path of an environment file, or what was named as it is. */
  interpreter: string
  /** Environment files that were made for this. */
  files: LooseFile[]
  /** `3.11`, where the environment is that of a Python here. */
  pythonVersion?: string
  /** Files of the project that it is made of. */
  wanted: string[]
  /** Packages whose own files are mirrored. */
  local: LocalPackage[]
  /** What was chosen, and why: half a sentence. */
  why: string
}

/** Locks of projects; conda's environments are asked before them. */
const PROJECT_LOCKS = ['poetry.lock', 'uv.lock']

const LINUX_FILE = 'environment-linux.yml'
/** More packages than this are counted, not named. */
const NAMED = 5

/** Whether an interpreter is one of this machine: it has to be asked what it has. */
export function isLocal(named: string): boolean {
  return named === 'auto' || named === 'local' || named.startsWith('local-')
}

/**
 * Chooses what the environment is made of. For `auto` and `local` the first of: the active conda environment; the lock of
 * a poetry or uv project; the active virtual environment; with `auto` an environment file; what any other Python has.
 * @param python absent where none was found
 * @throws {MirrorRefused} or {NotDetected} where there is nothing that another machine could be given
 */
export async function localEnvironment(
  named: string,
  project: string,
  python: LocalInterpreter | undefined,
): Promise<LocalEnvironment> {
  if (!isLocal(named)) return await ofFile(named, project, 'named by interpreter')
  if (python && existsSync(join(python.prefix, 'conda-meta'))) return await ofConda(named, project, python)
  if (named.startsWith('local-') && python) return ofFreeze(python, `what ${python.executable} has`)
  const lock = detected(project, PROJECT_LOCKS)
  if (lock !== undefined) {
    const found = await ofFile(lock.path, project, `found in ${project}`)
    return python?.virtual ? { ...found, pythonVersion: python.version } : found
  }
  if (python?.virtual) return ofFreeze(python, `what the active virtual environment ${python.prefix} has`)
  const file = named === 'auto' ? detected(project) : undefined
  if (file !== undefined) return await ofFile(file.path, project, `found in ${project}; no environment is active`)
  if (python !== undefined) return ofFreeze(python, `what ${python.executable} has; no environment is active`)
  throw new MirrorRefused(
    `interpreter: no Python was found here, and no environment file in ${project}`,
    'Activate an environment, or name one: an environment file, "local-conda:NAME" or "local-python:PATH".',
  )
}

/** What there is for most machines, else for others: the service takes the one of its platform that lies beside it. */
function detected(project: string, names?: readonly string[]): EnvironmentFile | undefined {
  const there = readdirSync(project).filter((name) => names?.includes(name) ?? true)
  for (const platform of CONDA_PLATFORMS) {
    try {
      return detect(there, formatsOn(platform))
    } catch (error) {
      if (!(error instanceof NotDetected && error.code === 'no-environment-file')) throw error
    }
  }
  return undefined
}

/** A file of the project, or something that is no file at all. */
async function ofFile(path: string, project: string, why: string): Promise<LocalEnvironment> {
  const none = { interpreter: path, files: [], local: [], why: `${path}, ${why}` }
  if (path.includes('://')) return { ...none, wanted: [] }
  if (!existsSync(join(project, path))) {
    throw new MirrorRefused(
      `interpreter: there is no ${path} in ${project}`,
      'Correct "interpreter": paths are relative to the project.',
    )
  }
  const read = async (file: string) => {
    const at = join(project, file)
    return existsSync(at) ? await readFile(at) : undefined
  }
  const { format } = formatOf(path)
  if (format === 'requirements.txt') return { ...none, wanted: Object.keys(await requirementsClosure(read, path)) }
  if (format === 'conda-environment') return { ...none, wanted: await condaClosure(read, path) }
  return { ...none, wanted: [path, ...beside(path, project)] }
}

/** A lock is read with the project file that it was made from; of lists of conda the service takes the one for itself. */
function beside(path: string, project: string): string[] {
  const lists = CONDA_PLATFORMS.map((platform) => onPlatform(path, platform)).filter((each) => each !== path)
  const files = [...lists, posix.join(posix.dirname(path), 'pyproject.toml')]
  return files.filter((file) => existsSync(join(project, file)))
}

async function ofConda(named: string, project: string, python: LocalInterpreter): Promise<LocalEnvironment> {
  const { platform, foreign, explicit, holds } = await condaEnvironment(python.prefix)
  if (!platform.startsWith('linux-') && platform !== 'noarch') {
    const linux = CONDA_PLATFORMS.flatMap((platform) => forLinux('environment.yml', platform).flat()).find((file) =>
      existsSync(join(project, file)),
    )
    if (named === 'auto' && linux)
      return await ofFile(linux, project, `as the active conda environment is of ${platform}`)
    throw new MirrorRefused(
      `interpreter: the conda environment ${python.prefix} is of ${platform}, and can't be on Linux: ${namesOf(foreign)}`,
      `Write an environment file for Linux as ${LINUX_FILE}: "interpreter: auto" takes it, or "interpreter: ${LINUX_FILE}".`,
    )
  }
  const ofPip = (each: LocalPackage) => each.installer !== 'conda' && !holds(normalizeName(each.name), each.version)
  const { requirements, local } = freeze(python, ofPip)
  const file = made(`.meadow/conda-${platform}.lock`, explicit(requirements))
  const why = `what the conda environment ${python.prefix} has`
  return { interpreter: file.path, files: [file], wanted: [], local, why }
}

function namesOf(packages: readonly string[]): string {
  const more = packages.length > NAMED ? ` and ${packages.length - NAMED} more` : ''
  return `${packages.slice(0, NAMED).join(', ')}${more}`
}

function ofFreeze(python: LocalInterpreter, why: string): LocalEnvironment {
  const { requirements, local } = freeze(python, () => true)
  const file = made('.meadow/local-requirements.txt', requirements.map((line) => `${line}\n`).join(''))
  return { interpreter: file.path, files: [file], pythonVersion: python.version, wanted: [], local, why }
}

function made(path: string, text: string): LooseFile {
  const content = Buffer.from(text)
  return { path, content, digest: digestOf(content) }
}
