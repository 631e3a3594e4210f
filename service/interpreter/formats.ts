import type { CondaPlatform } from '../../common/conda-files.ts'
import { isContainerImage } from '../../common/container-image.ts'
import type { InterpreterRequest } from '../../common/contract.ts'
import { type EnvironmentFile, formatOf } from '../../common/detect.ts'
import { EnvironmentFileError } from '../../common/environment-file-error.ts'
import { environmentText } from '../../common/environment-text.ts'
import { allowsPython, pythonLine } from '../policy/python-range.ts'
import { condaEnvironmentFormat } from './formats/conda-environment.ts'
import { condaExplicitFormat } from './formats/conda-explicit.ts'
import { condaLockFormat } from './formats/conda-lock.ts'
import { containerFormat, containerSpec } from './formats/container.ts'
import type { CodeFiles, Format, FormatOption, Place } from './formats/format.ts'
import { poetryFormat } from './formats/poetry.ts'
import { pylockFormat } from './formats/pylock.ts'
import { pyprojectFormat } from './formats/pyproject.ts'
import { requirementsFormat } from './formats/requirements.ts'
import { uvLockFormat } from './formats/uv-lock.ts'
import { lockOfWorkspace } from './formats/uv-sources.ts'
import type { Lock } from './lock.ts'
import { checkCredentials } from './lock-credentials.ts'
import type { Probe } from './probe.ts'
import { ResolutionFailed, type Resolve } from './resolution.ts'
import type { FormatName, InterpreterSpec } from './spec.ts'

/** Every format that an environment file may have. */
export const FORMATS: Record<FormatName, Format> = {
  'container image': containerFormat,
  'requirements.txt': requirementsFormat,
  'pylock.toml': pylockFormat,
  'uv.lock': uvLockFormat,
  'poetry.lock': poetryFormat,
  'pyproject.toml': pyprojectFormat,
  'conda-explicit': condaExplicitFormat,
  'conda-environment': condaEnvironmentFormat,
  'conda-lock': condaLockFormat,
}

/**
 * Reads what a request for an interpreter names, with every file that belongs to it.
 * @param found what `detect` found, where the request says `auto`; the platform that it is for
 * @throws {NotDetected} when the name is of no known format
 * @throws {EnvironmentFileError} naming file and line at fault
 */
export async function loadSpec(
  code: CodeFiles,
  request: InterpreterRequest,
  { file, platform = 'linux-64' }: { file?: EnvironmentFile | undefined; platform?: CondaPlatform } = {},
): Promise<InterpreterSpec> {
  const spec = isContainerImage(request.interpreter)
    ? containerSpec(request)
    : await fileSpec(code, request, file ?? formatOf(request.interpreter), platform)
  const software = request['additional-software']
  if (software?.length) spec.software = [...new Set(software)].sort()
  return spec
}

async function fileSpec(
  code: CodeFiles,
  request: InterpreterRequest,
  named: EnvironmentFile,
  platform: CondaPlatform,
): Promise<InterpreterSpec> {
  const lock = named.format === 'pyproject.toml' ? await lockOfWorkspace(code, named.path) : undefined
  const file: EnvironmentFile = lock === undefined ? named : { path: lock, format: 'uv.lock' }
  const format = await formatByContent(code, file)
  const path = (await FORMATS[format].instead?.(code, file.path, platform)) ?? file.path
  checkOptions(request, { path, format })
  const files = await FORMATS[format].load(code, path)
  const spec: InterpreterSpec = { format, path, files }
  if (lock !== undefined) spec.project = named.path
  const local = await FORMATS[format].local?.(code, { path, files })
  if (local && Object.keys(local).length > 0) spec.local = local
  const requiresPython = FORMATS[format].requiresPython?.(files, path)
  if (requiresPython !== undefined) spec.requiresPython = requiresPython
  for (const option of OPTIONS) if (request[option]?.length) spec[option] = [...new Set(request[option])].sort()
  if (request['python-version'] !== undefined) spec.pythonVersion = request['python-version']
  if (request['base-image'] !== undefined) spec.baseImage = request['base-image']
  return spec
}

/** Explicit lists of conda packages are often called .txt, as requirements are: a line of theirs says what they are. */
async function formatByContent(code: CodeFiles, { path, format }: EnvironmentFile): Promise<EnvironmentFile['format']> {
  if (format !== 'requirements.txt') return format
  const bytes = await code.read(path)
  return bytes && /^@EXPLICIT\s*$/m.test(environmentText(path, bytes)) ? 'conda-explicit' : format
}

const OPTIONS: readonly FormatOption[] = ['groups', 'without-groups', 'extras']

function checkOptions(request: InterpreterRequest, { path, format }: EnvironmentFile): void {
  const stray = OPTIONS.find((option) => request[option]?.length && !FORMATS[format].options.includes(option))
  if (stray === undefined) return
  throw new EnvironmentFileError(
    path,
    undefined,
    `${stray}: has no meaning for a ${format} file`,
    `Take the input "${stray}" out.`,
  )
}

/**
 * Makes a spec's lock for one probe.
 * @throws {ResolutionFailed}
 */
export async function lockSpec(spec: InterpreterSpec, probe: Probe, resolve: Resolve): Promise<Lock> {
  const { requiresPython, path, files } = spec
  if (requiresPython !== undefined && !allowsPython(requiresPython, probe.version)) {
    throw new ResolutionFailed(
      path,
      pythonLine(files[path]),
      `it needs Python ${requiresPython}, and this base has ${probe.version}`,
      'Ask for another python-version or base-image, or widen requires-python.',
    )
  }
  const lock = await FORMATS[spec.format].lock(spec, probe, resolve)
  checkCredentials(lock, spec)
  return lock
}

/** What of a spec its user may not expect, in sentences. */
export function notesOn(spec: InterpreterSpec): string[] {
  return FORMATS[spec.format].notes?.(spec) ?? []
}

/** Whether indexes have to be asked what of a spec's lock was yanked. */
export function yankedIsUnsaid({ format }: InterpreterSpec): boolean {
  return FORMATS[format].yankedUnsaid === true
}

/** Where the user's files speak of a package (normalised name), where they do. */
export function locate(spec: InterpreterSpec, name: string): Place | undefined {
  return FORMATS[spec.format].locate(spec, name)
}
