import { existsSync, readdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, isAbsolute, join, posix, relative, resolve, sep } from 'node:path'
import { CONDA_PLATFORMS, condaClosure, forLinux, onPlatform } from '../../common/conda-files.ts'
import { detect, type EnvironmentFile, type Format, formatOf, formatsOn, NotDetected } from '../../common/detect.ts'
import { normalizeName } from '../../common/package-name.ts'
import { digestOf } from '../../common/piece-index.ts'
import { requirementsClosure } from '../../common/requirements-closure.ts'
import { condaEnvironment } from './conda-environment.ts'
import { eggLinks } from './egg-links.ts'
import type { LooseFile } from './environment-files.ts'
import { freeze } from './freeze.ts'
import type { LocalInterpreter, LocalPackage } from './local-interpreter.ts'
import { MirrorRefused } from './mirror-refused.ts'
import { carriedIndexes } from './package-indexes.ts'
import { plainFile } from './plain-file.ts'

/** The environment that goes with mirrored code. */
export interface LocalEnvironment {
  /** What the service is asked for: the path of an environment file, or what was named as it is. */
  interpreter: string
  /** Environment files that were made for this. */
  files: LooseFile[]
  /** `3.11`, where the environment is that of a Python here, or is to be made for its version. */
  pythonVersion?: string
  /** Files of the project that it is made of. */
  wanted: string[]
  /** Packages whose own files are mirrored. */
  local: LocalPackage[]
  /** What was chosen, and why: half a sentence. */
  why: string
  /** What else a user should know. */
  notes: string[]
}

/** Locks of projects; conda's environments are asked before them. */
const PROJECT_LOCKS = ['poetry.lock', 'uv.lock']

/** What these say is about the project that they are in. */
const OF_PROJECTS: readonly Format[] = ['poetry.lock', 'uv.lock', 'pyproject.toml']

const LINUX_FILE = 'environment-linux.yml'
/** More packages than this are counted, not named. */
const NAMED = 5

/** What there is in a Python from its beginning. */
const FROM_BEGINNING = ['pip', 'setuptools', 'wheel']

/** Whether an interpreter is one of this machine: it has to be asked what it has. */
export function isLocal(named: string): boolean {
  return named === 'auto' || named === 'local' || named.startsWith('local-')
}

/**
 * Chooses what the environment is made of. For `auto` and `local` the first of: the active conda environment; the lock of
 * a poetry or uv project; the active virtual environment, or what was installed in the Python that actions/setup-python set
 * up; with `auto` an environment file; what any other Python has.
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
  if (lock !== undefined) return forVersion(await ofFile(lock.path, project, `found in ${project}`), python)
  if (python?.virtual) return ofFreeze(python, `what the active virtual environment ${python.prefix} has`)
  if (python?.setUp && python.packages.some(({ name }) => !FROM_BEGINNING.includes(normalizeName(name))))
    return ofFreeze(python, `what was installed in ${python.executable}, which actions/setup-python set up`)
  const file = named === 'auto' ? detected(project) : undefined
  if (file !== undefined) {
    const found = await ofFile(file.path, project, `found in ${project}; no environment is active`)
    return forVersion(found, python)
  }
  if (python !== undefined) return ofFreeze(python, `what ${python.executable} has; no environment is active`)
  throw new MirrorRefused(
    `interpreter: no Python was found here that could be asked, and no environment file in ${project}`,
    'Activate an environment, or name one: an environment file, "local-conda:NAME" or "local-python:PATH".',
  )
}

/** A file for the Python that is active, or was set up for this job. What is conda's brings its own. */
function forVersion(found: LocalEnvironment, python: LocalInterpreter | undefined): LocalEnvironment {
  if (!(python?.virtual || python?.setUp) || formatOf(found.interpreter).format.startsWith('conda-')) return found
  const { version } = python
  const why = python.virtual ? found.why : `${found.why}; actions/setup-python set Python ${version} up`
  return { ...found, pythonVersion: version, why }
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

/** A file of the project or beside it, or something that is no file at all. */
async function ofFile(named: string, project: string, why: string): Promise<LocalEnvironment> {
  const found = { interpreter: named, files: [], wanted: [], local: [], notes: [], why: `${named}, ${why}` }
  if (named.includes('://')) return found
  const at = resolve(project, named)
  if (!existsSync(at)) {
    throw new MirrorRefused(
      `interpreter: there is no ${named} in ${project}`,
      'Correct "interpreter": paths are relative to the project.',
    )
  }
  const inProject = isInside(project, at)
  const folder = inProject ? project : dirname(at)
  const path = relative(folder, at).replaceAll(sep, '/')
  if (!inProject && OF_PROJECTS.includes(formatOf(path).format)) {
    throw new MirrorRefused(
      `interpreter: ${named} belongs to another project than ${project}`,
      'Begin in the folder of its project, or name a file that needs none, like a requirements.txt or pylock.toml.',
    )
  }
  const contents = await closureOf(
    path,
    inProject ? (file) => projectFile(folder, file) : (file) => plainFile(folder, file),
  )
  if (inProject) return { ...found, interpreter: path, wanted: [...contents.keys()] }
  const files = [...contents].map(([file, content]) => made(`.meadow/${file}`, content))
  return { ...found, interpreter: `.meadow/${path}`, files }
}

async function projectFile(project: string, path: string): Promise<Buffer | undefined> {
  const at = join(project, path)
  return existsSync(at) ? await readFile(at) : undefined
}

/** An environment file and all that is read with it, by their paths. */
async function closureOf(
  path: string,
  file: (path: string) => Promise<Buffer | undefined>,
): Promise<Map<string, Buffer>> {
  const contents = new Map<string, Buffer>()
  const read = async (path: string) => {
    const content = await file(path)
    if (content !== undefined) contents.set(path, content)
    return content
  }
  const { format } = formatOf(path)
  if (format === 'requirements.txt') await requirementsClosure(read, path)
  else if (format === 'conda-environment') await condaClosure(read, path)
  // A lock is read with the project file that it was made from; of lists of conda the service takes the one for itself.
  else
    for (const each of new Set([path, ...lists(path), posix.join(posix.dirname(path), 'pyproject.toml')]))
      await read(each)
  return contents
}

function lists(path: string): string[] {
  return CONDA_PLATFORMS.map((platform) => onPlatform(path, platform))
}

function isInside(folder: string, path: string): boolean {
  const inner = relative(folder, path)
  return !isAbsolute(inner) && inner !== '..' && !inner.startsWith(`..${sep}`)
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
  const { requirements, local, notes } = frozenLines(python, ofPip)
  const file = made(`.meadow/conda-${platform}.lock`, Buffer.from(explicit(requirements)))
  const why = `what the conda environment ${python.prefix} has`
  return { interpreter: file.path, files: [file], wanted: [], local, why, notes }
}

function namesOf(packages: readonly string[]): string {
  const more = packages.length > NAMED ? ` and ${packages.length - NAMED} more` : ''
  return `${packages.slice(0, NAMED).join(', ')}${more}`
}

/** What is frozen, with the indexes where it may be. */
function frozenLines(python: LocalInterpreter, which: (each: LocalPackage) => boolean) {
  const { requirements, system, local, unknown } = freeze(python, which)
  const { lines, notes } = carriedIndexes(python.indexes)
  if (system.length > 0) {
    notes.push(`Packages of the system's own installer are left out, as no index has them: ${namesOf(system)}.`)
  }
  for (const { name, site } of unknown) {
    notes.push(`${name} is left out: nothing in ${site} says which version it is, and from where. Install it again.`)
  }
  return {
    requirements: requirements.length > 0 ? [...lines, ...requirements] : [],
    local: [...local, ...eggLinks(python)],
    notes,
  }
}

function ofFreeze(python: LocalInterpreter, why: string): LocalEnvironment {
  const { requirements, local, notes } = frozenLines(python, () => true)
  const text = requirements.map((line) => `${line}\n`).join('')
  const file = made('.meadow/local-requirements.txt', Buffer.from(text))
  return { interpreter: file.path, files: [file], pythonVersion: python.version, wanted: [], local, why, notes }
}

function made(path: string, content: Buffer): LooseFile {
  return { path, content, digest: digestOf(content) }
}
